"""K-means of every class of every attribute at once: Lloyd's loop, and the engines that it runs on."""

from lmle_core.kmeans.centroids import Centroids, Partial
from lmle_core.kmeans.lloyd import Blocks, Fit, lloyd
from lmle_core.kmeans.source import BLOCK, ArrayRows, Rows, StoredRows

__all__ = ["BLOCK", "ArrayRows", "Blocks", "Centroids", "Fit", "Partial", "Rows", "StoredRows", "lloyd"]
