"""Every error a user can cause, as one family.

    SelvedgeError
    ├── InputError                 the caller handed in something unusable
    │   ├── ImageError             not an image, truncated, empty
    │   │   └── ImageTooLargeError more bytes or pixels than allowed
    │   ├── ParameterError         a number or an option out of its range
    │   ├── SourceError            a photo folder or CSV that cannot be indexed
    │   └── DataError              a data set for training or evaluation that cannot be read
    ├── ItemNotFoundError          no such item in the gallery
    ├── VersionGoneError           a state of the gallery that is not held any more
    ├── TrainingError              a training run that cannot go on
    ├── CheckpointError            not a checkpoint, or weights that do not fit
    ├── DeviceError                the device asked for is not there
    └── GalleryError               something is wrong with an index folder
        ├── GalleryNotFoundError   the folder is not an index
        ├── GalleryExistsError     it would be overwritten, and nobody asked for that
        ├── GalleryMismatchError   it was built with another checkpoint or setting
        ├── GalleryEmptyError      nothing in it to search
        ├── GalleryBusyError       another process is writing to it
        ├── AttributePendingError  what an attribute needs is still being computed
        └── StorageError           disk full, read-only, or damaged files

Each message is a sentence: what was found, what was expected, what to do. The
service maps every class to one HTTP status (`service/errors.py`), the command
line maps ParameterError to exit code 2 and every other one to 1.
"""


class SelvedgeError(Exception):
    """Root of the family; never raised itself."""


class InputError(SelvedgeError):
    """The caller handed in something unusable."""


class ImageError(InputError):
    """The bytes are not an image that can be read."""


class ImageTooLargeError(ImageError):
    """The image has more bytes or pixels than allowed."""


class ParameterError(InputError):
    """A number or an option is out of its range."""


class SourceError(InputError):
    """A photo folder or CSV cannot be indexed."""


class DataError(InputError):
    """A data set for training or evaluation cannot be read."""


class ItemNotFoundError(SelvedgeError):
    """The gallery has no item of this id."""


class VersionGoneError(SelvedgeError):
    """A state of the gallery is not held any more."""


class TrainingError(SelvedgeError):
    """A training run cannot go on."""


class CheckpointError(SelvedgeError):
    """A file is not a checkpoint, or its weights do not fit."""


class DeviceError(SelvedgeError):
    """The device asked for is not there."""


class GalleryError(SelvedgeError):
    """Something is wrong with an index folder."""


class GalleryNotFoundError(GalleryError):
    """The folder is not an index."""


class GalleryExistsError(GalleryError):
    """The index would be overwritten, and nobody asked for that."""


class GalleryMismatchError(GalleryError):
    """The index was built with another checkpoint or setting."""


class GalleryEmptyError(GalleryError):
    """There is nothing in the index to search."""


class GalleryBusyError(GalleryError):
    """Another process is writing to the index."""


class AttributePendingError(GalleryError):
    """What an attribute needs to know of the items is still being computed."""


class StorageError(GalleryError):
    """The disk is full or read-only, or files of the index are damaged."""
