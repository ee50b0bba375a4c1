"""YAML by the rules of 1.2 where 1.1 surprises: a key is given once, ``1e-1`` is a number."""

import re
from pathlib import Path
from typing import Any

from polylect.base import InputError, read_text

# Numbers that YAML 1.1, which pyyaml reads, takes for text: 1e-1, 5e3.
_EXPONENT = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)[eE][-+]?\d+")


def load_mapping(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file, by a safe loader, which creates no objects.

    Raises:
        InputError: not YAML, not a mapping, or a key that is given twice; names the line.
    """
    import yaml

    class Loader(yaml.SafeLoader):
        """The safe loader, with the rules of YAML 1.2 for keys and numbers."""

        def construct_mapping(self, node: Any, deep: bool = False) -> Any:
            keys: set[str] = set()
            named = [key for key, _ in node.value if isinstance(key.value, str)]
            for key_node in named:
                if key_node.value in keys:
                    line = key_node.start_mark.line + 1
                    raise InputError(
                        f"{path}:{line}: {key_node.value!r} is given twice", "keep one of the two"
                    )
                keys.add(key_node.value)
            return super().construct_mapping(node, deep=deep)

    Loader.add_implicit_resolver("tag:yaml.org,2002:float", _EXPONENT, list("-+.0123456789"))
    try:
        # A loader that extends the safe one.
        raw = yaml.load(read_text(path), Loader=Loader)
    except InputError:
        raise
    except yaml.YAMLError as error:
        where = getattr(error, "problem_mark", None)
        line = f":{where.line + 1}" if where else ""
        problem = getattr(error, "problem", None) or "cannot be read"
        raise InputError(f"{path}{line}: not YAML ({problem})", "fix the file") from None
    except (RecursionError, ValueError) as error:
        raise InputError(f"{path}: not YAML ({error})", "fix the file") from None
    if not isinstance(raw, dict):
        raise InputError(f"{path}: not a recipe", "begin with merge_method: linear")
    return raw
