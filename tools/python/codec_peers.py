#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Codes frames with other people's codecs and times them; a part of `foreframe bench codec`.

    codec_peers.py --frames FILE --dtype uint16 --shape FRAMES,ROWS,COLS --peers NAME,NAME... [--bound N] ...

FILE holds plain little-endian pixels. Answers one JSON line a peer, in the order asked, as soon as it is measured.
Every peer's result is decoded and compared; a lossy one's largest error is checked against the bound. Times are
processor time of this process, one thread. A peer too slow for --max-seconds codes fewer frames: evenly spread ones,
or, when it predicts frames from frames, the first ones. The libraries come from tools/requirements-bench.txt.
"""
from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Callable

import numpy as np


class NotPossible(Exception):
    """This codec can't hold such pixels; the message says why."""


@dataclass
class Peer:
    """encode: frames to a coded object; decode: that object and the frames' shape to frames."""
    module: str
    encode: Callable[[Any, np.ndarray], Any]
    decode: Callable[[Any, Any, np.ndarray], np.ndarray]
    size: Callable[[Any], int]
    prepare: Callable[[np.ndarray], np.ndarray] = lambda frames: frames
    contiguous: bool = False  # predicts frames from frames: the first ones, not spread ones
    version: Callable[[Any], str] = lambda module: getattr(module, "__version__", "")
    lossy: bool = False
    options: dict[str, Any] = field(default_factory=dict)


def total(parts: list[bytes]) -> int:
    return sum(len(part) for part in parts)


def in_sixteen_bits(frames: np.ndarray) -> np.ndarray:
    """8 and 16-bit pixels as they are; 32-bit ones moved to start at 0 where their range fits."""
    if frames.dtype in (np.uint8, np.uint16):
        return frames
    low, high = int(frames.min()), int(frames.max())
    if high - low > 65535:
        raise NotPossible(f"values from {low} to {high} need more than 16 bits")
    return (frames.astype(np.int64) - low).astype(np.uint16)


def by_frame(encode: Callable, decode: Callable, **rest: Any) -> Peer:
    """A peer that codes one frame after the other."""
    return Peer(encode=lambda module, frames: [encode(module, frame) for frame in frames],
                decode=lambda module, coded, frames: np.stack(
                    [np.asarray(decode(module, part)).reshape(frames.shape[1:]) for part in coded]),
                size=total, **rest)


def blosc2(compressor: str, level: int) -> Peer:
    def encode(module: Any, frames: np.ndarray) -> list[bytes]:
        return [module.blosc2_encode(frame, level=level, compressor=compressor, shuffle="bitshuffle",
                                     typesize=frame.dtype.itemsize, numthreads=1) for frame in frames]

    def decode(module: Any, coded: list[bytes], frames: np.ndarray) -> np.ndarray:
        return np.stack([np.frombuffer(module.blosc2_decode(part, numthreads=1), frames.dtype).reshape(frames.shape[1:])
                         for part in coded])
    return Peer("imagecodecs", encode, decode, total, version=lambda module: module.blosc2_version())


def jpeg_xl(effort: int) -> Peer:
    return by_frame(lambda module, frame: module.jpegxl_encode(frame, lossless=True, effort=effort, numthreads=1),
                    lambda module, part: module.jpegxl_decode(part, numthreads=1),
                    module="imagecodecs", prepare=in_sixteen_bits, version=lambda module: module.jpegxl_version())


def jpeg_ls() -> Peer:
    return by_frame(lambda module, frame: module.jpegls_encode(frame), lambda module, part: module.jpegls_decode(part),
                    module="imagecodecs", prepare=in_sixteen_bits, version=lambda module: module.jpegls_version())


def video(codec: str, decoder: str, depths: dict[int, str], options: dict[str, str]) -> Peer:
    """A codec of PyAV for grey frames; `depths`: pixel formats by bits."""
    def pixel_format(frames: np.ndarray) -> str:
        needed = 8 if frames.dtype == np.uint8 else max(9, int(frames.max()).bit_length())
        for bits, name in sorted(depths.items()):
            if bits >= needed:
                return name
        raise NotPossible(f"values need {needed} bits, the codec takes {max(depths)}")

    def prepare(frames: np.ndarray) -> np.ndarray:
        frames = in_sixteen_bits(frames)
        pixel_format(frames)
        return frames

    def encode(module: Any, frames: np.ndarray) -> tuple[list[bytes], bytes | None, str]:
        context = module.CodecContext.create(codec, "w")
        context.height, context.width = frames.shape[1:]
        context.pix_fmt = pixel_format(frames)
        context.time_base, context.framerate = Fraction(1, 25), Fraction(25, 1)
        context.options = {name: value.replace("FRAMES", str(len(frames))) for name, value in options.items()}
        context.thread_count = 1
        packets = []
        for frame in frames:
            packets += context.encode(module.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format=context.pix_fmt))
        packets += context.encode(None)
        return [bytes(packet) for packet in packets], context.extradata, context.pix_fmt

    def decode(module: Any, coded: tuple[list[bytes], bytes | None, str], frames: np.ndarray) -> np.ndarray:
        packets, extra, _ = coded
        context = module.CodecContext.create(decoder, "r")
        context.extradata = extra
        context.height, context.width = frames.shape[1:]
        context.thread_count = 1
        out = []
        for packet in packets:
            out += context.decode(module.Packet(packet))
        out += context.decode(None)
        return np.stack([frame.to_ndarray() for frame in out])
    return Peer("av", encode, decode, lambda coded: total(coded[0]) + len(coded[1] or b""), prepare, contiguous=True,
                version=lambda module: f"PyAV {module.__version__}")


def windows(frames: np.ndarray, count: int) -> list[np.ndarray]:
    return [frames[first:first + count] for first in range(0, len(frames), count)]


def zfp(bound: int, window: int) -> Peer:
    """Three-dimensional blocks over windows of frames, as float32. The tolerance is the largest of bound x 1, 2, 4 whose
    rounded result stays within the bound on each window (ZFP's own promise is far on the safe side)."""
    def code(module: Any, volume: np.ndarray) -> bytes:
        if volume.dtype.itemsize == 4 and np.abs(volume.astype(np.int64)).max() >= 1 << 24:
            raise NotPossible("values need more than the 24 bits of a float32")
        pixels, best = volume.astype(np.float32), None
        for factor in (1, 2, 4):
            coded = module.zfp_encode(pixels, level=bound * factor + 0.499, mode="a")
            if np.abs(np.rint(module.zfp_decode(coded)) - pixels).max() > bound:
                break
            best = coded
        if best is None:
            raise NotPossible("no tolerance keeps the bound")
        return best
    return Peer("imagecodecs", lambda module, frames: [code(module, volume) for volume in windows(frames, window)],
                lambda module, coded, frames: np.concatenate(
                    [np.rint(module.zfp_decode(part)).astype(np.int64) for part in coded]),
                total, contiguous=True, version=lambda module: module.zfp_version(), lossy=True)


def sz3(bound: int, window: int) -> Peer:
    """Volumes of a window's frames, as int32; default algorithm (interpolation and Lorenzo)."""
    def encode(module: Any, frames: np.ndarray) -> list[Any]:
        coded = []
        for volume in windows(frames, window):
            config = module.szConfig()
            config.errorBoundMode = module.szErrorBoundMode.ABS
            config.absErrorBound = bound
            part, _ = module.sz.compress(np.ascontiguousarray(volume, dtype=np.int32), config)
            coded.append((part, volume.shape))
        return coded

    def decode(module: Any, coded: list[Any], frames: np.ndarray) -> np.ndarray:
        return np.concatenate([module.sz.decompress(part, np.int32, shape)[0] for part, shape in coded])
    return Peer("pysz", encode, decode, lambda coded: sum(len(part) for part, _ in coded), contiguous=True,
                version=lambda module: "SZ3, pysz", lossy=True)


X265 = "lossless=1:pools=none:frame-threads=1:keyint=FRAMES:log-level=none"


def peers(bound: int, window: int) -> dict[str, Peer]:
    return {
        "blosc2-lz4": blosc2("lz4", 5),
        "blosc2-zstd": blosc2("zstd", 3),
        "jpeg-ls": jpeg_ls(),
        "jpeg-xl-3": jpeg_xl(3),
        "jpeg-xl-7": jpeg_xl(7),
        "ffv1": video("ffv1", "ffv1", {8: "gray", 9: "gray9le", 10: "gray10le", 12: "gray12le", 16: "gray16le"},
                      {"level": "3", "coder": "1", "context": "1", "g": "FRAMES", "slices": "4", "slicecrc": "0"}),
        "x265": video("libx265", "hevc", {8: "gray", 10: "gray10le", 12: "gray12le"},
                      {"preset": "medium", "x265-params": X265}),
        "zfp": zfp(bound, window),
        "sz3": sz3(bound, window),
    }


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    start = time.process_time()
    result = work()
    return result, time.process_time() - start


def chosen_frames(peer: Peer, module: Any, frames: np.ndarray, seconds: float) -> np.ndarray:
    """As many frames as `seconds` allow, judged by coding one or two."""
    probe = frames[:min(2, len(frames))] if peer.contiguous else frames[len(frames) // 2:len(frames) // 2 + 1]
    coded, encode_s = timed(lambda: peer.encode(module, probe))
    _, decode_s = timed(lambda: peer.decode(module, coded, probe))
    count = int(seconds / max((encode_s + decode_s) / len(probe), 1e-6))
    if count >= len(frames):
        return frames
    count = max(count, 1)
    if peer.contiguous:
        return frames[:max(count, min(2, len(frames)))]
    return frames[np.linspace(0, len(frames) - 1, count).round().astype(int)]


def checked(peer: Peer, decoded: np.ndarray, frames: np.ndarray, bound: int) -> tuple[bool, int]:
    if decoded.shape != frames.shape:
        return False, -1
    if not peer.lossy:
        return bool(np.array_equal(decoded, frames)), 0
    error = int(np.abs(decoded.astype(np.int64) - frames.astype(np.int64)).max())
    return error <= bound, error


def measured(name: str, peer: Peer, frames: np.ndarray, arguments: argparse.Namespace) -> dict[str, Any]:
    try:
        module = __import__(peer.module)
    except ImportError:
        return {"state": "not installed", "note": f"{peer.module}: tools/setup --bench installs it"}
    try:
        frame_bytes = frames[0].nbytes
        prepared = chosen_frames(peer, module, peer.prepare(frames), arguments.max_seconds)
        encode_s, decode_s, size, error = [], [], 0, 0
        while not encode_s or (len(encode_s) < arguments.repeat and sum(encode_s + decode_s) < arguments.max_seconds):
            coded, seconds = timed(lambda: peer.encode(module, prepared))
            encode_s.append(seconds)
            decoded, seconds = timed(lambda: peer.decode(module, coded, prepared))
            decode_s.append(seconds)
            good, error = checked(peer, decoded, prepared, arguments.bound)
            if not good:
                return {"state": "failed", "note": f"decoded frames differ (largest error {error})"}
            size = peer.size(coded)
    except NotPossible as reason:
        return {"state": "not possible", "note": str(reason)}
    except Exception as problem:  # pylint: disable=broad-except  # a library's own error must not end the others
        return {"state": "failed", "note": f"{type(problem).__name__}: {problem}"[:200]}
    answer = {"state": "measured", "version": peer.version(module), "frames": len(prepared), "bytes": size,
              "raw_bytes": len(prepared) * frame_bytes, "encode_s": encode_s, "decode_s": decode_s}
    return answer | ({"max_error": error} if peer.lossy else {})


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", required=True)
    parser.add_argument("--dtype", required=True)
    parser.add_argument("--shape", required=True, help="frames,rows,cols")
    parser.add_argument("--peers", required=True, help="comma-separated: " + ", ".join(peers(1, 16)))
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--max-seconds", type=float, default=4)
    parser.add_argument("--window", type=int, default=16, help="frames in a volume of a lossy peer")
    parser.add_argument("--bound", type=int, default=1, help="largest error of the lossy peers")
    arguments = parser.parse_args()
    shape = tuple(int(extent) for extent in arguments.shape.split(","))
    frames = np.memmap(arguments.frames, dtype=np.dtype(arguments.dtype).newbyteorder("<"), mode="r", shape=shape)
    known = peers(arguments.bound, arguments.window)
    for name in arguments.peers.split(","):
        answer = (measured(name, known[name], frames, arguments) if name in known
                  else {"state": "failed", "note": "no such peer"})
        print(json.dumps({"codec": name} | answer), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
