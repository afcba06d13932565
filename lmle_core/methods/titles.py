"""How methods and decision rules are called in tables and figures."""

from lmle_core.methods.catalogue import METHODS

RULE_TITLES = {
    "half": "threshold ½",
    "prior": "training prior",
    "adjusted": "adjusted logits",
    "optimum": "validation optimum",
    "calibrated": "calibrated on validation",
    "weighed-clusters": "clusters, weighed with the log-odds",
    "clusters": "clusters, large margin",
    "calibrated-clusters": "clusters, calibrated",
    "nearest-mean": "nearest class mean",
    "knn": "k nearest neighbours",
    "features-clusters": "clusters of trunk features",
    "features-calibrated-clusters": "clusters of trunk features, calibrated",
    "features-nearest-mean": "nearest mean of trunk features",
    "svm": "linear SVMs on trunk features",
}
TITLES = {**{name: method.title for name, method in METHODS.items()}, **RULE_TITLES}
