"""Tells pip the name and version of the package of portraits, see ../../fetch."""

import os

INFO = "face_recognition-1.3.0.dist-info"


class __legacy__:
    """The backend that pip asks where a package names none."""

    @staticmethod
    def prepare_metadata_for_build_wheel(folder, config_settings=None):
        os.mkdir(os.path.join(folder, INFO))
        with open(os.path.join(folder, INFO, "METADATA"), "w") as out:
            out.write("Metadata-Version: 2.1\nName: face-recognition\nVersion: 1.3.0\n")
        return INFO
