"""Engines that score LightGBM's own model: LightGBM, lleaves, oneDAL, ONNX Runtime."""
import numpy as np

from common import FEATURES


class LightGBM:
    """The yardstick itself."""

    raw = True

    @staticmethod
    def prepare(data, out):
        """Nothing: the model is there."""

    def __init__(self, data, folder):
        import lightgbm

        self.booster = lightgbm.Booster(model_file=f"{data}/model.txt")

    def arrange(self, features):
        """Float32 row by row: the fastest that it takes; float64, columns and Arrow were no faster."""
        return features

    def score(self, features):
        return self.booster.predict(features, raw_score=True, num_threads=1)


class Lleaves:
    """Compiles the model to machine code, in minutes for a large one."""

    raw = False

    @staticmethod
    def prepare(data, out):
        import lleaves

        lleaves.Model(model_file=f"{data}/model.txt").compile(cache=f"{out}/model.o")

    def __init__(self, data, folder):
        import lleaves

        self.model = lleaves.Model(model_file=f"{data}/model.txt")
        self.model.compile(cache=f"{folder}/model.o")

    def arrange(self, features):
        return features.astype(np.float64)

    def score(self, features):
        return self.model.predict(features, n_jobs=1)


class OneDAL:
    """Intel's library, by way of `daal4py.mb.convert_model`. Missing values slow it down."""

    raw = False

    @staticmethod
    def prepare(data, out):
        """Converts when it is loaded."""

    def __init__(self, data, folder):
        import daal4py
        import lightgbm

        daal4py.daalinit(1)
        self.model = daal4py.mb.convert_model(lightgbm.Booster(model_file=f"{data}/model.txt"))

    def arrange(self, features):
        return features

    def score(self, features):
        return self.model.predict_proba(features)[:, 1]


class Onnx:
    """ONNX Runtime's tree operator on the converted model."""

    raw = False

    @staticmethod
    def prepare(data, out):
        import lightgbm
        import onnxmltools
        from onnxmltools.convert.common.data_types import FloatTensorType

        booster = lightgbm.Booster(model_file=f"{data}/model.txt")
        inputs = [("features", FloatTensorType([None, FEATURES]))]
        model = onnxmltools.convert_lightgbm(booster, initial_types=inputs, zipmap=False)
        with open(f"{out}/model.onnx", "wb") as file:
            file.write(model.SerializeToString())

    def __init__(self, data, folder):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(f"{folder}/model.onnx", options, ["CPUExecutionProvider"])

    def arrange(self, features):
        return features

    def score(self, features):
        return self.session.run(["probabilities"], {"features": features})[0][:, 1]


ENGINES = {"lightgbm": LightGBM, "lleaves": Lleaves, "onedal": OneDAL, "onnx": Onnx}
