"""What a `.tflite` is made of: its operators and the number formats they compute in."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Operators:
    """How often each operator occurs in a file.

    Attributes:
        int8: those whose results are int8, by name.
        other: the rest, by name and format, such as `DEQUANTIZE → float32`.
    """

    int8: Counter[str]
    other: Counter[str]

    def __str__(self) -> str:
        """One line, what is not int8 at its end."""
        rest = _listed(self.other) if self.other else "none"
        return f"{self.int8.total()} int8 ({_listed(self.int8)}); not int8: {rest}"


def read_operators(content: bytes) -> Operators:
    """The operators of a `.tflite`'s main graph, from its bytes."""
    from tensorflow.lite.python import schema_py_generated as schema  # noqa: PLC0415

    names = {code: name for name, code in vars(schema.BuiltinOperator).items() if name[0] != "_"}
    formats = {code: name.lower() for name, code in vars(schema.TensorType).items()}
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    graph = model.subgraphs[0]
    int8: Counter[str] = Counter()
    other: Counter[str] = Counter()
    for operator in graph.operators:
        code = model.operatorCodes[operator.opcodeIndex]
        # Codes up to 127 are stored in the older, shorter field too; the larger one counts.
        name = names[max(code.builtinCode, code.deprecatedBuiltinCode)]
        results = {formats[graph.tensors[index].type] for index in operator.outputs}
        if results == {"int8"}:
            int8[name] += 1
        else:
            other[f"{name} → {', '.join(sorted(results))}"] += 1
    return Operators(int8, other)


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.most_common())
