"""Where each data set comes from: what can be downloaded by a program, and what to do by hand for the rest.

Every address stands in a public source, which `Source.found` names. None of them was tried by a test: tests do not use
the network. What a data set may be used for is said by its authors and stands in its card (`info(name).licence`).
"""

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final
from urllib.parse import unquote, urlsplit

from iqa_datasets.cards import DatasetCard
from iqa_datasets.errors import DatasetError
from iqa_datasets.vocabulary import suggestion

HUB_REPOSITORY: Final = "chaofengc/IQA-PyTorch-Datasets"
"""Data sets as the author of the `pyiqa` package keeps them on the Hugging Face hub, as folders, labels included."""

HUB_REVISION: Final = "953350e7887b6e0956325188b51804be190ff5ea"
"""The state of that repository that is downloaded, so that no later upload there changes what comes."""


@dataclass(frozen=True, slots=True)
class WebFile:
    """A file on a web server.

    Attributes:
        url: its address.
        size: its size in bytes, where published.
        sha256: its checksum, where published.
        md5: likewise.
        into: the folder, relative to the official one, in which it is unpacked (or put, if it is no archive).
    """

    url: str
    size: int | None = None
    sha256: str | None = None
    md5: str | None = None
    into: str = ""

    @property
    def file(self) -> str:
        """Its name."""
        return PurePosixPath(unquote(urlsplit(self.url).path)).name


@dataclass(frozen=True, slots=True)
class HubFile:
    """A file in a data set repository on the Hugging Face hub, which states its size and sha256 itself.

    Attributes:
        file: its name there.
        sha256: its checksum, where it is known besides.
        into: as for `WebFile`.
        repository: owner and name.
        revision: the commit.
    """

    file: str
    sha256: str | None = None
    into: str = ""
    repository: str = HUB_REPOSITORY
    revision: str = HUB_REVISION

    @property
    def url(self) -> str:
        """Where a person can look at it."""
        return f"https://huggingface.co/datasets/{self.repository}/blob/{self.revision}/{self.file}"


@dataclass(frozen=True, slots=True)
class Source:
    """How a data set is got.

    Attributes:
        name: its id.
        files: what is downloaded; empty where that is not possible without a person.
        size: of all those files together, in bytes, as far as it is published (often to three digits).
        by_hand: what a person does on the home page to get it, where there is nothing else or as another way.
        mirror: a copy that others have packed, where the authors' own cannot be downloaded by a program.
        mirror_size: its size in bytes, as above.
        renamed: paths in the unpacked folder that are called otherwise in the official one: (there, officially).
        found: where the addresses are from.
    """

    name: str
    files: tuple[WebFile | HubFile, ...] = ()
    size: int | None = None
    by_hand: str = ""
    mirror: tuple[HubFile, ...] = ()
    mirror_size: int | None = None
    renamed: tuple[tuple[str, str], ...] = ()
    found: str = ""

    def instructions(self, card: DatasetCard, folder: str) -> str:
        """Return what a person has to do to get the data set, step by step.

        Args:
            card: its card.
            folder: where it is wanted.
        """
        holds = ", ".join(file for file in card.files if "*" not in file) or ", ".join(card.files)
        command = f"iqa-datasets fetch {self.name} {folder}"
        lines = [
            f"{card.title} cannot be downloaded by a program:",
            f"1. Open {card.home_page}",
            f"2. {self.by_hand}",
            f"3. Unpack what you got, checked and into the right place: {command} --archive FILE",
            "   (repeat --archive for every file that you got). RAR and 7-Zip archives: unpack them yourself,",
            f"   so that {folder}/{card.folder} holds {holds}.",
            f"4. iqa-datasets verify {self.name} {folder}/{card.folder}",
        ]
        if self.mirror:
            lines.append(
                f"Or take a copy that others have packed ({self.mirror[0].url}), "
                f"under the same terms: {command} --mirror"
            )
        return "\n".join(lines)


_HUB = f"the file list of the hub's data set repository {HUB_REPOSITORY}"
_KONSTANZ = "https://datasets.vqa.mmsp-kn.de/archives/"
_UT_AUSTIN = (
    "Follow the download link to the request form, fill in what it asks for and send it; the password comes by e-mail. "
    "Download the archive with it, in a browser."
)

SOURCES: Final[dict[str, Source]] = {
    source.name: source
    for source in (
        Source(
            "agiqa-3k",
            by_hand="Follow the link to the archive of images (a cloud drive, for a person's browser), and download "
            "data.csv of the repository beside it.",
        ),
        Source(
            "ava",
            by_hand="Download the folder AVA_dataset (AVA.txt and the lists), and run its ava_downloader.py, which "
            "gets the images one by one from where their makers show them, into images/.",
        ),
        Source(
            "bid",
            files=(HubFile("BID.zip"),),
            size=457_000_000,
            by_hand="Download the photographs DatabaseImage0001.JPG and so on, and the table DatabaseGrades.xlsx.",
            found=_HUB,
        ),
        Source(
            "cid2013",
            by_hand="Download CID2013.7z from Zenodo (record 2647033).",
        ),
        Source(
            "cidiq-50cm",
            by_hand="Find CID:IQ (Colourlab Image Database: Image Quality) in the list and download its archive.",
        ),
        Source(
            "cidiq-100cm",
            by_hand="Find CID:IQ (Colourlab Image Database: Image Quality) in the list and download its archive; it is "
            "the same one as for cidiq-50cm.",
        ),
        Source(
            "csiq",
            files=(
                WebFile("https://s2.smu.edu/~eclarson/csiq/src_imgs.zip", into="src_imgs"),
                WebFile("https://s2.smu.edu/~eclarson/csiq/dst_imgs.zip", into="dst_imgs"),
                WebFile("https://s2.smu.edu/~eclarson/csiq/csiq.DMOS.xlsx"),
            ),
            by_hand="Download src_imgs.zip, dst_imgs.zip and csiq.DMOS.xlsx.",
            found="download scripts on GitHub that read the page of one of its authors, s2.smu.edu/~eclarson/csiq.html",
        ),
        Source(
            "flive",
            by_hand="Run database_prep.ipynb of the repository, which gathers the photographs from AVA, VOC 2012, "
            "EMOTIC and a blur detection set; the label files lie beside it.",
        ),
        Source(
            "kadid-10k",
            files=(WebFile(f"{_KONSTANZ}kadid10k.zip", size=3_067_408_471),),
            size=3_067_408_471,
            by_hand="Download kadid10k.zip.",
            found="the documentation of the full-reference metrics package PIQ; the size is what the server stated",
        ),
        Source(
            "kadis-700k",
            files=(WebFile(f"{_KONSTANZ}kadis700k.zip"),),
            size=44_600_000_000,
            by_hand="Download kadis700k.zip. It holds the 140,000 pristine images and the program that distorts them.",
            found="readmes on GitHub, one with the size",
        ),
        Source(
            "koniq-10k",
            files=(
                WebFile(f"{_KONSTANZ}koniq10k_scores_and_distributions.zip"),
                WebFile(
                    "https://raw.githubusercontent.com/subpic/koniq/c4c4bb637fe8510dcc5968a47007cc936986fb03/"
                    "metadata/koniq10k_distributions_sets.csv"
                ),
                WebFile(f"{_KONSTANZ}koniq10k_1024x768.zip"),
            ),
            by_hand="Download koniq10k_1024x768.zip and koniq10k_scores_and_distributions.zip; the official split is "
            "metadata/koniq10k_distributions_sets.csv of https://github.com/subpic/koniq",
            mirror=(HubFile("koniq10k.tgz"),),
            mirror_size=6_350_000_000,
            found="download scripts on GitHub; the split from the authors' repository subpic/koniq",
        ),
        Source(
            "live",
            by_hand=_UT_AUSTIN,
            mirror=(HubFile("live.tgz"),),
            mirror_size=721_000_000,
            found=_HUB,
        ),
        Source(
            "live-challenge",
            files=(HubFile("live_challenge.tgz"),),
            size=326_000_000,
            by_hand=_UT_AUSTIN,
            found=_HUB,
        ),
        Source(
            "live-md",
            by_hand=_UT_AUSTIN,
            mirror=(HubFile("livem.tgz"),),
            mirror_size=882_000_000,
            found=_HUB,
        ),
        Source("mdid", by_hand="Follow the download link of the database (a cloud drive, for a person's browser)."),
        Source(
            "mdid2013",
            by_hand="Follow the download link of the multiply distorted image database MDID2013 (a cloud drive, for a "
            "person's browser), or ask its authors by e-mail.",
        ),
        Source(
            "mdivl",
            by_hand="Follow the link of the multiply distorted database (MD-IVL) and do what is said there; if it asks "
            "for a password, its authors give it by e-mail.",
        ),
        Source(
            "pipal",
            files=(HubFile("pipal.tar", sha256="6bcb713ba0f9ad9ff6c11fc4c680ec88e633a674d16dc9d0700786d24b40f6b4"),),
            size=5_843_353_600,
            by_hand="Follow the link to the training set (a cloud drive, for a person's browser) and download the "
            "references, the distorted images and the labels.",
            found=f"{_HUB}; size and checksum from the commit that added the file",
        ),
        Source(
            "piq23-overall",
            by_hand="Follow the link to the form, fill in what it asks for and send it; a link comes by e-mail. The "
            "splits are the folder Test split of the repository.",
        ),
        Source(
            "piq23-details",
            by_hand="Follow the link to the form, fill in what it asks for and send it; a link comes by e-mail. The "
            "splits are the folder Test split of the repository.",
        ),
        Source(
            "piq23-exposure",
            by_hand="Follow the link to the form, fill in what it asks for and send it; a link comes by e-mail. The "
            "splits are the folder Test split of the repository.",
        ),
        Source(
            "spaq",
            files=(HubFile("spaq.tgz"),),
            size=34_800_000_000,
            by_hand="Follow the link to the data set (a cloud drive, for a person's browser) and download the folders "
            "Annotations and TestImage.",
            found=_HUB,
        ),
        Source(
            "tid2008",
            files=(HubFile("tid2008.tgz"),),
            size=713_000_000,
            by_hand="Download https://ponomarenko.info/tid/tid2008.rar (md5 732aeec405a57b589aeee4f1c58a4c1b).",
            found=f"{_HUB}; address and md5 of the RAR archive from DeepMind's dm_nevis",
        ),
        Source(
            "tid2013",
            files=(HubFile("tid2013.tgz"),),
            size=1_230_000_000,
            by_hand="Download https://ponomarenko.info/tid2013/tid2013.rar (md5 2c42bec2407adc49cf4d7858daf8f99b).",
            found=f"{_HUB}; address and md5 of the RAR archive from DeepMind's dm_nevis",
        ),
        Source(
            "uhd-iqa",
            files=(
                WebFile(f"{_KONSTANZ}UHD-IQA/UHD-IQA-database.zip"),
                WebFile(f"{_KONSTANZ}UHD-IQA/uhd-iqa-metadata.zip"),
            ),
            size=10_700_000_000,
            by_hand="Download UHD-IQA-database.zip and uhd-iqa-metadata.zip.",
            found="download scripts and a table of data sets on GitHub, which state the size; what the archives hold "
            "inside was not seen",
        ),
        Source("vcl-fer", by_hand="Follow the download link of the database."),
        Source(
            "waterloo-exploration",
            files=(HubFile("Waterloo_explore.tar"),),
            size=5_050_000_000,
            by_hand="Download https://ivc.uwaterloo.ca/database/WaterlooExploration/exploration_database_and_code.rar",
            found=f"{_HUB}; the address of the RAR archive from readmes on GitHub",
        ),
    )
}
"""Every data set's source by id."""


def source_of(name: str) -> Source:
    """Return where a data set comes from.

    Raises:
        DatasetError: nothing is known of it.

    Example:
        >>> source_of("kadid-10k").files[0].file
        'kadid10k.zip'
    """
    try:
        return SOURCES[name]
    except (KeyError, TypeError):
        raise DatasetError(f"no source is known for {name!r}{suggestion(name, SOURCES)}") from None
