"""The names that matter to a company: its own, its products', its competitors'."""

from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field

from voicestream.errors import ConfigFileError
from voicestream.settings import Settings
from voicestream.yaml_file import YamlFile


class Product(BaseModel):
    """Something that is sold; ``per`` is what one price buys."""

    model_config = ConfigDict(extra="forbid")

    id: str = Field(min_length=1)
    name: str = Field(min_length=1)
    aliases: list[str] = []
    price: float | None = None
    per: str | None = None
    category: str | None = None


class Competitor(BaseModel):
    """Somebody else who sells it."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1)
    aliases: list[str] = []


class Catalogue(BaseModel):
    """Products and competitors, read from a YAML file."""

    model_config = ConfigDict(extra="forbid")

    company: str = ""
    products: list[Product] = []
    competitors: list[Competitor] = []

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read the catalogue at ``path``.

        Raises:
            ConfigFileError: with file, line and remedy of everything that is wrong with it.
        """
        file = YamlFile.read(path)
        problems: list[str] = []
        data = file.data if file.data is not None else {}
        if not isinstance(data, dict):
            raise ConfigFileError([file.problem((), "a catalogue begins with 'products:' or 'competitors:'")])
        # Each entry by itself, so that a misspelt field is compared with those of its own kind.
        for part, shape in (("products", Product), ("competitors", Competitor)):
            entries = data.get(part)
            for index, entry in enumerate(entries if isinstance(entries, list) else ()):
                try:
                    file.check(shape, entry, (part, index))
                except ConfigFileError as error:
                    problems += error.problems
        if problems:
            raise ConfigFileError(problems)
        catalogue = file.check(cls, data)
        ids: set[str] = set()
        for index, product in enumerate(catalogue.products):
            if product.id in ids:
                problems.append(file.problem(("products", index), f"product id '{product.id}' is there twice"))
            ids.add(product.id)
        if problems:
            raise ConfigFileError(problems)
        return catalogue

    @classmethod
    def of(cls, settings: Settings) -> "Catalogue":
        """The catalogue that the settings name, or the packaged one, which is empty."""
        return _load(settings.catalogue or Path(str(resources.files(__package__))) / "catalogue.yaml")


@lru_cache(maxsize=4)
def _load(path: Path) -> Catalogue:
    return Catalogue.load(path)
