from hashgnn import errors as errors
from hashgnn.codes import BinaryCodes as BinaryCodes
from hashgnn.codes import ItemBias as ItemBias
from hashgnn.config import ModelConfig as ModelConfig
from hashgnn.config import load_recipe as load_recipe
from hashgnn.data import Interactions as Interactions
from hashgnn.data import SideFeatures as SideFeatures
from hashgnn.data import read_interactions as read_interactions
from hashgnn.data import split as split
from hashgnn.evaluation import evaluate as evaluate
from hashgnn.recommender import HashGNN as HashGNN
from hashgnn.recommender import Recommendations as Recommendations
from hashgnn.state import ModelState as ModelState

__version__: str
