"""Engines that score a model of their own, of the same size and from the same rows: XGBoost, CatBoost, YDF."""
import numpy as np

from common import FEATURES, read_rows

TREES, LEAVES, DEPTH, RATE = 500, 63, 6, 0.05
NAMES = [f"Column_{column}" for column in range(FEATURES)]


def training(data):
    return read_rows(f"{data}/train"), np.fromfile(f"{data}/labels", bool)


class XGBoost:
    """Leaf by leaf, as LightGBM grows them."""

    raw = True

    @staticmethod
    def prepare(data, out):
        import xgboost

        settings = {"objective": "binary:logistic", "tree_method": "hist", "grow_policy": "lossguide"}
        settings |= {"max_leaves": LEAVES, "max_depth": 0, "eta": RATE, "nthread": 1}
        booster = xgboost.train(settings, xgboost.DMatrix(*training(data)), TREES)
        booster.save_model(f"{out}/model.ubj")

    def __init__(self, data, folder):
        import xgboost

        self.booster = xgboost.Booster({"nthread": 1}, model_file=f"{folder}/model.ubj")

    def arrange(self, features):
        return features

    def score(self, features):
        """In place: a `DMatrix` remembers its predictions, and the second pass would be free."""
        return self.booster.inplace_predict(features, predict_type="margin")


class CatBoost:
    """Oblivious trees of depth 6: 64 leaves."""

    raw = True

    @staticmethod
    def prepare(data, out):
        import catboost

        model = catboost.CatBoostClassifier(
            iterations=TREES, depth=DEPTH, learning_rate=RATE, verbose=False, allow_writing_files=False
        )
        model.fit(*training(data))
        model.save_model(f"{out}/model.cbm")

    def __init__(self, data, folder):
        import catboost

        self.model = catboost.CatBoostClassifier().load_model(f"{folder}/model.cbm")

    def arrange(self, features):
        """Column by column, which it scores fastest."""
        import catboost

        return catboost.Pool(np.asfortranarray(features))

    def score(self, features):
        return self.model.predict(features, prediction_type="RawFormulaVal", thread_count=1)


class Ydf:
    """The fastest engine that YDF has for its model."""

    raw = False

    @staticmethod
    def prepare(data, out):
        import ydf

        features, labels = training(data)
        learner = ydf.GradientBoostedTreesLearner(
            label="label",
            num_trees=TREES,
            growing_strategy="BEST_FIRST_GLOBAL",
            max_num_nodes=LEAVES,
            max_depth=-1,
            shrinkage=RATE,
            validation_ratio=0.0,
            early_stopping="NONE",
            discretize_numerical_columns=True,
        )
        columns = dict(zip(NAMES, features.T)) | {"label": labels.astype(np.int64)}
        learner.train(columns, verbose=0).save(f"{out}/model")

    def __init__(self, data, folder):
        import ydf

        self.model = ydf.load_model(f"{folder}/model")
        self.model.force_engine(self.model.list_compatible_engines()[0])

    def arrange(self, features):
        import ydf

        columns = dict(zip(NAMES, np.ascontiguousarray(features.T)))
        return ydf.create_vertical_dataset(columns, data_spec=self.model.data_spec(), required_columns=NAMES)

    def score(self, features):
        return self.model.predict(features, num_threads=1)


ENGINES = {"xgboost": XGBoost, "catboost": CatBoost, "ydf": Ydf}
