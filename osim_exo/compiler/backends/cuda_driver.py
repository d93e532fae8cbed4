"""Running compiled programs on an NVIDIA GPU through its driver.

Arrays of other libraries (torch, cupy) are taken as they are, through
``__cuda_array_interface__``: the kernel runs in the device's primary context, as they do.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from osim_exo.compiler.backends import cuda
from osim_exo.compiler.backends.cuda import CudaError
from osim_exo.compiler.backends.emit import groups
from osim_exo.compiler.backends.vector_ir import bits
from osim_exo.compiler.symbols.program import Program
from osim_exo.errors import InputError

_CAPABILITY = (75, 76)
"""Numbers of the attributes compute capability, major and minor."""


class _Driver:
    """The driver's functions, each checked, in one device's primary context."""

    def __init__(self, device: int) -> None:
        name = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
        try:
            self._library = ctypes.CDLL(name)
        except OSError as error:
            raise CudaError(
                f"No NVIDIA driver on this machine ({name} is not there). Use the CPU backend."
            ) from error
        self.call("cuInit", 0)
        self.device = ctypes.c_int()
        self.call("cuDeviceGet", ctypes.byref(self.device), device)
        self._context = ctypes.c_void_p()
        self.call("cuDevicePrimaryCtxRetain", ctypes.byref(self._context), self.device)

    def call(self, name: str, *arguments: Any) -> None:
        """Call the driver; a `CudaError` with its own words where it refuses."""
        code = getattr(self._library, name)(*arguments)
        if code:
            text = ctypes.c_char_p()
            self._library.cuGetErrorString(code, ctypes.byref(text))
            words = (text.value or b"unknown error").decode()
            raise CudaError(f"The NVIDIA driver refused {name}: {words} (error {code}).")

    def free(self, pointer: ctypes.c_uint64) -> None:
        """Give memory back; at the end of a process the driver may be gone before us."""
        self._library.cuMemFree_v2(pointer)

    def activate(self) -> None:
        """Make the context this thread's one."""
        self.call("cuCtxSetCurrent", self._context)

    def architecture(self) -> str:
        """The device's architecture, as ``sm_90``."""
        parts = []
        for attribute in _CAPABILITY:
            value = ctypes.c_int()
            self.call("cuDeviceGetAttribute", ctypes.byref(value), attribute, self.device)
            parts.append(value.value)
        return f"sm_{parts[0]}{parts[1]}"


@cache
def _driver(device: int) -> _Driver:
    return _Driver(device)


class DeviceArray:
    """Numbers on the GPU, (size, n) or (repeats, size, n).

    Parameters
    ----------
    shape, dtype : as numpy's
    device : number of the GPU
    """

    def __init__(self, shape: tuple[int, ...], dtype: npt.DTypeLike, device: int = 0) -> None:
        self.shape, self.dtype = shape, np.dtype(dtype)
        self.nbytes = int(np.prod(shape)) * self.dtype.itemsize
        self._driver = _driver(device)
        self._driver.activate()
        self._pointer = ctypes.c_uint64()
        self._driver.call(
            "cuMemAlloc_v2", ctypes.byref(self._pointer), self._size(max(self.nbytes, 1))
        )

    @staticmethod
    def _size(count: int) -> ctypes.c_size_t:
        return ctypes.c_size_t(count)

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return {
            "shape": self.shape,
            "typestr": self.dtype.str,
            "data": (self._pointer.value, False),
            "strides": None,
            "version": 3,
        }

    def upload(self, values: npt.ArrayLike) -> None:
        """Copy numbers of the same shape to the device."""
        given = np.ascontiguousarray(values, dtype=self.dtype)
        if given.shape != self.shape:
            raise InputError(f"Values have shape {given.shape}; the device array {self.shape}.")
        self._driver.activate()
        source = ctypes.c_void_p(given.ctypes.data)
        self._driver.call("cuMemcpyHtoD_v2", self._pointer, source, self._size(self.nbytes))

    def download(self) -> npt.NDArray[Any]:
        """The numbers, once all that was started is done."""
        found = np.empty(self.shape, dtype=self.dtype)
        self._driver.activate()
        target = ctypes.c_void_p(found.ctypes.data)
        self._driver.call("cuMemcpyDtoH_v2", target, self._pointer, self._size(self.nbytes))
        return found

    def __del__(self) -> None:
        # Not there if the allocation itself failed; nobody can handle an error here.
        if getattr(self, "_pointer", None) is not None and self._pointer.value:
            self._driver.free(self._pointer)


class CudaKernel:
    """A program on a GPU.

    Parameters
    ----------
    program : what to compute
    dtype : float64 or float32
    device : number of the GPU

    Raises
    ------
    CudaError
        there is no GPU, or it or the compiler refused
    MissingExtraError
        NVIDIA's run-time compiler is not installed
    """

    def __init__(self, program: Program, dtype: str = "float32", device: int = 0) -> None:
        bits(dtype)
        self.program, self.dtype, self.device = program, np.dtype(dtype), device
        self.groups = groups(program)
        self._driver = _driver(device)
        self.architecture = self._driver.architecture()
        code = cuda.compile_text(cuda.source(program, dtype), self.architecture)
        self._driver.activate()
        self._module, self._function = ctypes.c_void_p(), ctypes.c_void_p()
        self._driver.call("cuModuleLoadData", ctypes.byref(self._module), code)
        self._driver.call(
            "cuModuleGetFunction", ctypes.byref(self._function), self._module, cuda.ENTRY.encode()
        )

    def shape(self, group: str, n: int, repeats: int = 1) -> tuple[int, ...]:
        """Shape of a group's array."""
        if group not in self.groups:
            raise InputError(f"Unknown group '{group}'. Allowed: {', '.join(self.groups)}.")
        size = self.program.inputs.get(group, len(self.program.outputs.get(group, ())))
        return (repeats, size, n) if group in self.program.streamed else (size, n)

    def zeros(self, group: str, n: int, repeats: int = 1) -> DeviceArray:
        """A group's array for n environments, on the device, with zeros."""
        array = DeviceArray(self.shape(group, n, repeats), self.dtype, self.device)
        array.upload(np.zeros(array.shape))
        return array

    def run(self, arrays: Mapping[str, Any], repeats: int = 1) -> None:
        """Compute every output, in place; returns before the device is done.

        Parameters
        ----------
        arrays : device arrays of every input group, and of every output group that is not fed
            back, of anything with ``__cuda_array_interface__``
        repeats : how often, one after the other
        """
        missing = [name for name in self.groups if name not in arrays]
        if missing or repeats < 1:
            raise InputError(f"Arrays missing: {missing}; repeats: {repeats}, at least 1 needed.")
        views = {name: arrays[name].__cuda_array_interface__ for name in self.groups}
        n = int(views[self.groups[0]]["shape"][-1])
        for name, view in views.items():
            expected = self.shape(name, n, repeats)
            if tuple(view["shape"]) != expected or view["typestr"] != self.dtype.str:
                raise InputError(
                    f"Group '{name}' is {view['typestr']} of shape {tuple(view['shape'])}; the "
                    f"kernel needs {self.dtype.str} of shape {expected}."
                )
            if view.get("strides") is not None:
                raise InputError(f"Group '{name}' is not contiguous; copy it first.")
        values: list[Any] = [ctypes.c_int(n), ctypes.c_int(repeats)]
        values += [ctypes.c_uint64(views[name]["data"][0]) for name in self.groups]
        pointers = (ctypes.c_void_p * len(values))(*(ctypes.addressof(v) for v in values))
        self._driver.activate()
        blocks = -(-n // cuda.THREADS)
        self._driver.call(
            "cuLaunchKernel",
            self._function,
            *(blocks, 1, 1, cuda.THREADS, 1, 1, 0),
            *(None, pointers, None),
        )

    def synchronize(self) -> None:
        """Wait until the device has done all that was started."""
        self._driver.activate()
        self._driver.call("cuCtxSynchronize")
