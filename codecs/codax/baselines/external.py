"""Any codec with an encoder and a decoder program; a JSON file gives the command lines.

    {"name": "evs", "kbps": 13.2, "rates": [16000], "format": "s16", "size": "g192",
     "encode": "EVS_cod 13200 16 {input} {output}", "decode": "EVS_dec 16 {input} {output}"}

Commands are split as a shell would split them, but no shell is used; only `{input}`, `{output}` and `{rate}` (Hz) are
replaced.
"""

from __future__ import annotations

import dataclasses
import json
import re
import shlex
import shutil
import subprocess
import tempfile
from hashlib import sha256
from pathlib import Path

import numpy as np

from codax import audio
from codax.baselines.base import Baseline, BaselineError, Encoded
from codax.config.parsing import build
from codax.errors import CodaxError
from codax.storage import strict_json

_G192_SYNC = (0x6B21, 0x6B20)  # of a received and of a lost frame (ITU-T G.192)


@dataclasses.dataclass
class ExternalConfig:
    """Fields of the JSON file.

    Attributes:
      name: of the codec, in reports.
      kbps: requested rate.
      encode, decode: command lines.
      rates: sample rates in Hz that the encoder supports, ascending.
      format: of the audio files: "wav", or "s16" for raw 16-bit little-endian samples of one channel.
      suffix: extension of the coded file.
      size: "file", or "g192" to count the bits of an ITU-T G.192 file, which stores each bit as 16 bits.
      mono: whether channels are coded separately.
      delay: delay of the decoded audio, in samples at the coding rate.
      timeout_seconds: of one run of a program.
    """

    name: str = ""
    kbps: float = 0.0
    encode: str = ""
    decode: str = ""
    rates: tuple[int, ...] = (16_000,)
    format: str = "wav"
    suffix: str = ".bin"
    size: str = "file"
    mono: bool = True
    delay: int = 0
    timeout_seconds: float = 600.0


class External(Baseline):
    """A codec described by a JSON file; see the module docstring.

    Raises:
      BaselineError: the file cannot be read, a field is missing or invalid, or a program is not installed.
    """

    def __init__(self, path: str | Path) -> None:
        values = strict_json.read(path, "description of a codec", BaselineError)
        try:
            config = build(ExternalConfig, values, "")
        except (ValueError, CodaxError) as error:
            raise BaselineError(f"external:{path}: {error}") from error
        for ok, message in (
            (config.name and config.encode and config.decode, "name, encode and decode must be given"),
            (config.kbps > 0, "kbps must be positive"),
            (config.rates and min(config.rates) > 0, "rates must be positive"),
            (config.format in ("wav", "s16"), "format must be wav or s16"),
            (config.format == "wav" or config.mono, "raw samples have one channel: mono must be true"),
            (re.fullmatch(r"[\w.-]*", config.suffix), "suffix must consist of letters, digits, dots and dashes"),
            ("\0" not in config.encode + config.decode, "encode and decode must not contain NUL"),
            (config.size in ("file", "g192"), "size must be file or g192"),
            (config.delay >= 0 and config.timeout_seconds > 0, "delay and timeout_seconds must not be negative"),
        ):
            if not ok:
                raise BaselineError(f"external:{path}: {message}")
        self._commands = []
        for field in ("encode", "decode"):
            try:
                command = shlex.split(getattr(config, field))
            except ValueError as error:
                raise BaselineError(f"external:{path}: {field} is no command line ({error})") from error
            if "{input}" not in " ".join(command) or "{output}" not in " ".join(command):
                raise BaselineError(f"external:{path}: {field} must contain {{input}} and {{output}}")
            if shutil.which(command[0]) is None:
                raise BaselineError(f"external:{path}: {command[0]} is not installed")
            self._commands.append(command)
        self._config = config
        self.name, self.kbps, self.mono, self.delay = config.name, config.kbps, config.mono, config.delay
        self.rates = tuple(sorted(config.rates))
        programs = ", ".join(Path(command[0]).name for command in self._commands)
        stamp = sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:8]
        self.description = f"{programs}; description {stamp}"
        self._rate = self.rates[0]

    def encode(self, samples: np.ndarray, sample_rate: int) -> Encoded:
        self._rate = sample_rate
        with tempfile.TemporaryDirectory() as folder:
            source, target = Path(folder) / f"in.{self._extension}", Path(folder) / f"coded{self._config.suffix}"
            if self._config.format == "wav":
                audio.write(source, audio.from_int16(samples), sample_rate, subtype="PCM_16")
            else:
                source.write_bytes(samples.astype("<i2").tobytes())
            data = self._run(self._commands[0], source, target, sample_rate)
        bits = 8 * len(data) if self._config.size == "file" else g192_bits(data, self.name)
        return Encoded(data, -(-bits // 8))

    def decode(self, data: bytes) -> tuple[np.ndarray, int]:
        with tempfile.TemporaryDirectory() as folder:
            source, target = Path(folder) / f"coded{self._config.suffix}", Path(folder) / f"out.{self._extension}"
            source.write_bytes(data)
            decoded = self._run(self._commands[1], source, target, self._rate)
            if self._config.format == "wav":
                return audio.read(target)
        samples = np.frombuffer(decoded[: len(decoded) // 2 * 2], "<i2")
        return audio.from_int16(samples)[:, None], self._rate

    def file_bytes(self, encoded: Encoded) -> int:
        return len(encoded.data) if self._config.size == "file" else encoded.payload_bytes

    @property
    def _extension(self) -> str:
        return "wav" if self._config.format == "wav" else "raw"

    def _run(self, command: list[str], source: Path, target: Path, rate: int) -> bytes:
        """Runs a program on a file and returns its output. Raises BaselineError."""
        values = {"{input}": str(source), "{output}": str(target), "{rate}": str(rate)}
        words = command
        for name, value in values.items():
            words = [word.replace(name, value) for word in words]
        try:
            done = subprocess.run(
                words, capture_output=True, check=False, timeout=self._config.timeout_seconds, stdin=subprocess.DEVNULL
            )
        except subprocess.TimeoutExpired as error:
            limit = self._config.timeout_seconds
            raise BaselineError(f"{self.name}: {command[0]} took longer than {limit:g} s") from error
        except OSError as error:
            raise BaselineError(f"{self.name}: {command[0]} cannot be run ({error.strerror or error})") from error
        if done.returncode or not target.is_file():
            lines = (done.stderr or done.stdout).decode(errors="replace").strip().splitlines()
            reason = lines[-1] if lines else "no message"
            raise BaselineError(f"{self.name}: {command[0]} ended with status {done.returncode} ({reason})")
        return target.read_bytes()


def g192_bits(data: bytes, name: str) -> int:
    """Number of coded bits in a file of the ITU-T G.192 format. Raises BaselineError if it is not one."""
    words = np.frombuffer(data[: len(data) // 2 * 2], "<u2")
    position = bits = 0
    while position < len(words):
        if (
            words[position] not in _G192_SYNC
            or position + 1 >= len(words)
            or position + 2 + words[position + 1] > len(words)
        ):
            raise BaselineError(f"{name}: the coded file is not in the G.192 format")
        bits += int(words[position + 1])
        position += 2 + int(words[position + 1])
    return bits
