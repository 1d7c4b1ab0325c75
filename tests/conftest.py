import ram  # noqa: F401  (before any test imports Chainer)
