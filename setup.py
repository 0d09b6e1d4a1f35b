# SPDX-License-Identifier: Apache-2.0
"""Build of the native half: csrc as one static library, one Cython module per unit over it.

Portable by default (the compiler's baseline; kernels that gain from wider SIMD choose at run time).
FLINKCORE_NATIVE=1 builds for the processor at hand: faster by a few percent, not to be shipped.
FLINKCORE_DEBUG=1 builds with assertions and without optimisation.
"""

import os
from pathlib import Path

import numpy as np
from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

CSRC = sorted(str(path) for path in Path("csrc").glob("*.c"))
HEADERS = sorted(str(path) for path in Path("csrc").glob("*.h"))

flags = ["-std=c11", "-O3", "-fno-math-errno", "-fvisibility=hidden", "-fPIC", "-Wall", "-Wextra"]
if os.environ.get("FLINKCORE_NATIVE") == "1":
    flags.append("-march=native")
if os.environ.get("FLINKCORE_DEBUG") == "1":
    flags = [flag for flag in flags if flag != "-O3"] + ["-O1", "-g", "-UNDEBUG", "-DFC_DEBUG=1"]

# Cython's own code has unused symbols and its own visibility rules.
module_flags = [flag for flag in flags if flag not in ("-Wextra", "-fvisibility=hidden")] + [
    "-Wno-unused-function"
]
macros = [("FC_BUILD_FLAGS", '"' + " ".join(flags) + '"')]


class BuildWithKernels(build_ext):
    """build_ext that builds the kernel library first, in place or not."""

    def run(self) -> None:
        self.run_command("build_clib")
        super().run()


extensions = [
    Extension(
        "flinkcore._native." + path.stem,
        [str(path)],
        include_dirs=["csrc", np.get_include()],
        libraries=["flinkcore_kernels"],
        define_macros=macros,
        extra_compile_args=module_flags,
        depends=[*CSRC, *HEADERS],
    )
    for path in sorted(Path("flinkcore/_native").glob("*.pyx"))
]

setup(
    libraries=[
        (
            "flinkcore_kernels",
            {
                "sources": CSRC,
                "include_dirs": ["csrc"],
                "cflags": flags,
                "obj_deps": {"": HEADERS},
            },
        )
    ],
    ext_modules=cythonize(
        extensions,
        build_dir="build/cython",
        compiler_directives={
            "language_level": 3,
            "boundscheck": False,
            "wraparound": False,
            "cdivision": True,
            "initializedcheck": False,
            "embedsignature": True,
        },
    ),
    cmdclass={"build_ext": BuildWithKernels},
)
