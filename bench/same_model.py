"""Engines that score LightGBM's own model: LightGBM, lleaves, oneDAL, ONNX Runtime."""
import ctypes

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
        self.one = None

    def arrange(self, features):
        """Float32 row by row: the fastest that it takes; float64, columns and Arrow were no faster."""
        return features

    def score(self, features):
        if len(features) == 1:
            return self.score_one(features)
        return self.booster.predict(features, raw_score=True, num_threads=1)

    def score_one(self, row):
        """By the library's function for one row, prepared once: without what Python's `predict` adds to each call."""
        self.one = self.one or SingleRow(self.booster, row.shape[1])
        return self.one.score(row)


class SingleRow:
    """LightGBM's `LGBM_BoosterPredictForMatSingleRowFast`."""

    FLOAT32, RAW_SCORE = 0, 1

    def __init__(self, booster, columns):
        from lightgbm.basic import _LIB, _safe_call

        self.score_row, self.check = _LIB.LGBM_BoosterPredictForMatSingleRowFast, _safe_call
        self.prepared, self.length, self.out = ctypes.c_void_p(), ctypes.c_int64(), ctypes.c_double()
        prepare = _LIB.LGBM_BoosterPredictForMatSingleRowFastInit
        options = [self.RAW_SCORE, 0, -1, self.FLOAT32, columns, b"num_threads=1", ctypes.byref(self.prepared)]
        self.check(prepare(booster._handle, *options))
        self.to = [ctypes.byref(self.length), ctypes.byref(self.out)]

    def score(self, row):
        self.check(self.score_row(self.prepared, ctypes.c_void_p(row.ctypes.data), *self.to))
        return [self.out.value]


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
