"""The files of this folder are YAML, and this is how any such file is read."""

from __future__ import annotations

from collections.abc import Hashable

import yaml


def read_yaml(text: str) -> object:
    """What a YAML text holds. Raises ValueError with a sentence that lacks its beginning, the name of the file."""
    try:
        return yaml.load(text, _Loader)  # noqa: S506, a SafeLoader
    except yaml.YAMLError as error:
        raise ValueError(f"is no YAML: {' '.join(str(error).split())}.") from None
    except RecursionError:
        raise ValueError("has too many brackets within one another: write it flatter.") from None
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        # PyYAML passes on whatever its conversions raise: KeyError for `!!bool x`.
        raise ValueError(f"has a value that is not of its type: {error!r:.60}. Put it in quotes.") from None


class _Loader(yaml.SafeLoader):
    """YAML in which a name may come only once: PyYAML would drop the first one's value in silence."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, object]:
        names = [self.construct_object(key, deep=True) for key, _ in node.value]
        for at, name in enumerate(names):
            if name in names[:at]:
                problem = f"{name!r} is there twice; put both together"
                raise yaml.constructor.ConstructorError(None, None, problem, node.value[at][0].start_mark)
        return super().construct_mapping(node, deep)
