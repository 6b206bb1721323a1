"""Contract suites that any encoder, index or recommender must pass. They need the extra ``testing``."""

from hashgnn._extras import require

for _package in ("pytest", "hypothesis"):
    require(_package, extra="testing", purpose="hashgnn.testing")
