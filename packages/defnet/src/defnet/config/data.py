"""Configuration of the images: which data sets, and where their sub-images come from."""

from typing import Annotated, Literal

from pydantic import Field

from defnet.config.fields import Config


class DataConfig(Config):
    """One data set of the training mixture.

    Attributes:
        name: identifier known to `iqa_datasets.available()`.
        session: which session's parts to use.
        batch_size: images of this data set in each training step.
        exclude: file names left out of training, for example known duplicates of test images.
    """

    name: str
    session: Annotated[int, Field(ge=1)]
    batch_size: Annotated[int, Field(ge=1)]
    exclude: tuple[str, ...] = ()


class CropsConfig(Config):
    """Where sub-images come from.

    Attributes:
        train_source: `images` decodes each image afresh and cuts new random crops in every step; `pool` cuts
            `pool_size` random crops an image once and draws from them afresh in every step, which lets a frozen
            trunk's features be computed once.
        pool_size: crops an image in the pool.
        flip: horizontal flips, half of the time.
        test_plan: how crops are placed when scoring.
        test_count: number of crops when scoring.
    """

    train_source: Literal["images", "pool"] = "images"
    pool_size: Annotated[int, Field(ge=4)] = 32
    flip: bool = True
    test_plan: Literal["grid", "random", "liqe"] = "grid"
    test_count: Annotated[int, Field(ge=1)] = 15
