"""Writes a program in the format of another runtime and reads it back as a function: one writer and reader per format.

    WRITERS["onnx"](program, directory);  READERS["onnx"](directory) -> {"video": clips} -> {"logits": ...}

TensorFlow, onnx and onnxruntime are imported only for their own formats; they are not requirements.
"""

from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
import safetensors.numpy
from jax import export

from vidjax.export.program import PLATFORMS, Arrays, Program
from vidjax.extras import needs
from vidjax.models.backend import traced_for

Runner = Callable[[Arrays], Arrays]


# ------------------------------------------------------------------------------------------------------------ StableHLO


def write_stablehlo(program: Program, directory: Path):
    """Writes `model.stablehlo`, a function of variables and inputs for CPUs, GPUs, TPUs; `variables.safetensors`."""
    variables = {name: jax.ShapeDtypeStruct(x.shape, x.dtype) for name, x in program.variables.items()}
    with traced_for(*PLATFORMS):
        exported = export.export(jax.jit(program.function), platforms=PLATFORMS)(variables, program.shapes())
    (directory / "model.stablehlo").write_bytes(exported.serialize())
    (directory / "variables.safetensors").write_bytes(safetensors.numpy.save(program.variables))


def read_stablehlo(directory: Path) -> Runner:
    exported = export.deserialize(bytearray((directory / "model.stablehlo").read_bytes()))
    variables = jax.device_put(safetensors.numpy.load_file(directory / "variables.safetensors"))
    call = jax.jit(exported.call)
    return lambda inputs: jax.tree.map(np.asarray, call(variables, inputs))


# ----------------------------------------------------------------------------------------------------------- SavedModel


def write_savedmodel(program: Program, directory: Path):
    """Writes `saved_model.pb` with its variables; the signature "serving_default" has the program's names."""
    tf = needs("tensorflow", "tf")
    from jax.experimental import jax2tf  # imports TensorFlow

    names = sorted(program.variables)
    with traced_for(*PLATFORMS):
        function = jax2tf.convert(
            program.function,
            polymorphic_shapes=[None, {name: f"({shape})" for name, shape in program.polynomials().items()}],
            native_serialization_platforms=PLATFORMS,
            with_gradient=False,
        )
        module = tf.Module()
        module.numbers = [tf.Variable(program.variables[name], trainable=False) for name in names]

        def serve(**inputs):
            return function(dict(zip(names, module.numbers, strict=True)), inputs)

        free = 2 if program.length else 1  # leading axes: batch, and length
        signature = {
            name: tf.TensorSpec([None] * free + list(shape.shape[free:]), shape.dtype, name)
            for name, shape in program.inputs.items()
        }
        module.serve = tf.function(serve, autograph=False).get_concrete_function(**signature)
        tf.saved_model.save(module, str(directory), signatures=module.serve)


def read_savedmodel(directory: Path) -> Runner:
    tf = needs("tensorflow", "tf")
    module = tf.saved_model.load(str(directory))  # `run` keeps it alive: it owns the variables
    serve = module.signatures["serving_default"]
    convert = {name: spec.dtype for name, spec in serve.structured_input_signature[1].items()}

    def run(inputs: Arrays) -> Arrays:
        outputs = serve(**{name: tf.constant(inputs[name], dtype) for name, dtype in convert.items()})
        return {name: x.numpy() for name, x in outputs.items()}

    run.module = module
    return run


# ----------------------------------------------------------------------------------------------------------------- ONNX


def write_onnx(program: Program, directory: Path):
    """Writes `model.onnx`, for any number of clips of one length."""
    needs("onnx", "onnx")
    from vidjax.export.onnx import graph, ops

    names, inputs = sorted(program.variables), sorted(program.inputs)
    outputs = []

    def function(variables, inputs):
        results = program.function(variables, inputs)
        outputs[:] = sorted(results)
        return [results[name] for name in outputs]

    with traced_for("onnx"):
        closed = jax.make_jaxpr(function)(program.variables, program._replace(length=None).shapes())
    constants = {i: program.variables[name] for i, name in enumerate(names)}
    try:
        model = ops.to_model(closed, inputs, outputs, constants)
    except graph.Unsupported as error:
        raise ValueError(f"ONNX does not support this network: {error}. Use stablehlo or savedmodel.") from None
    (directory / "model.onnx").write_bytes(model.SerializeToString())


def read_onnx(directory: Path) -> Runner:
    onnxruntime = needs("onnxruntime", "onnx")
    session = onnxruntime.InferenceSession(str(directory / "model.onnx"), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return lambda inputs: dict(zip(names, session.run(names, inputs), strict=True))


WRITERS = {"stablehlo": write_stablehlo, "savedmodel": write_savedmodel, "onnx": write_onnx}
READERS = {"stablehlo": read_stablehlo, "savedmodel": read_savedmodel, "onnx": read_onnx}
