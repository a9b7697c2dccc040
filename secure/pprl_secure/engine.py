"""SecretFlow SPU as this project uses it: ABY3, three parties, shares in, shares out.

Values stay shared from the files to the results. Nothing is opened among the parties: each
program's outputs are taken as this party's share, and only who gets all three can add them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

jax.config.update("jax_enable_x64", True)

import jax.numpy as jnp  # noqa: E402 - the setting above comes first
import spu  # noqa: E402
from spu import libspu  # noqa: E402
from spu.utils import frontend  # noqa: E402

from pprl_secure.files import WorkerError  # noqa: E402

SECRET = libspu.Visibility.VIS_SECRET
_FACTOR = 3
"""Bits are multiplied by this, which makes the engine turn them into numbers of the ring once;
left as they are, it would convert them again in every product. Not a power of two: that would
be a shift of bits."""
_PATIENCE = 180
"""Seconds that a party waits for the others to start."""


class Engine:
    """This party's part of the three.

    Args:
        party: 0, 1 or 2.
        addresses: ``host:port`` of all three, in order.
        timeout: Seconds without a word from another party after which it is given up.
    """

    def __init__(
        self, party: int, addresses: Sequence[str], timeout: int, tls: dict[str, str] | None = None
    ) -> None:
        self.party = party
        # The 32-bit ring would be smaller, but version 0.9.5 crashes in its matrix product.
        self._config = libspu.RuntimeConfig(
            protocol=libspu.ProtocolKind.ABY3, field=libspu.FieldType.FM64
        )
        libspu.logging.setup_logging(_quiet())
        self._link = self._connect(party, addresses, timeout, tls)
        self._runtime = self._guard(lambda: spu.Runtime(self._link, self._config))
        self._io = spu.Io(3, self._config)
        self._programs: dict[Any, Any] = {}
        self._metas: dict[Any, bytes] = {}

    def _connect(
        self, party: int, addresses: Sequence[str], timeout: int, tls: dict[str, str] | None
    ) -> Any:
        desc = libspu.link.Desc()
        desc.recv_timeout_ms = timeout * 1000
        desc.http_timeout_ms = timeout * 1000
        desc.connect_retry_times = _PATIENCE
        desc.connect_retry_interval_ms = 1000
        for number, address in enumerate(addresses):
            desc.add_party(f"party{number}", address)
        if tls:
            desc.enable_ssl = True
            for side in (desc.client_ssl_opts, desc.server_ssl_opts):
                side.cert.certificate_path = tls["certificate"]
                side.cert.private_key_path = tls["private_key"]
                side.verify.ca_file_path = tls["authority"]
                side.verify.verify_depth = 2
        try:
            return libspu.link.create_brpc(desc, party)
        except RuntimeError:
            raise WorkerError(
                f"party {party} did not reach the others within {_PATIENCE} seconds. Are all three "
                f"running, and are the addresses of the job file right?"
            ) from None

    def tell(self, text: str) -> list[str]:
        """Give a short text to the others and get theirs, in order of parties."""
        return [
            one if isinstance(one, str) else one.decode()
            for one in self._guard(lambda: self._link.all_gather(text))
        ]

    def put_bits(self, name: str, own: np.ndarray, following: np.ndarray) -> None:
        """Give the engine shares of bits that were made outside, in its own format.

        Args:
            name: The variable.
            own: (..., bytes) uint8, the share number ``party``.
            following: The next share, of the same shape.
        """
        bits = np.empty((*own.shape[:-1], own.shape[-1] * 8, 2), np.uint8)
        bits[..., 0], bits[..., 1] = np.unpackbits(own, axis=-1), np.unpackbits(following, axis=-1)
        share = libspu.Share()
        share.meta = self._meta(bits.shape[:-1], bool)
        share.share_chunks = [_chunk(bits.tobytes())]
        self._runtime.set_var(name, share)

    def run(
        self,
        program: Callable[..., Any],
        inputs: dict[str, tuple[tuple[int, ...], Any]],
        outputs: Sequence[str],
    ) -> None:
        """Run a program on shared variables.

        Args:
            program: A function of jax arrays.
            inputs: Shape and type of each argument, by variable.
            outputs: Variables for the results.
        """
        key = (program, tuple(inputs.items()), tuple(outputs))
        if key not in self._programs:
            examples = [np.zeros(shape, kind) for shape, kind in inputs.values()]
            self._programs[key] = frontend.compile(
                frontend.Kind.JAX,
                program,
                examples,
                {},
                list(inputs),
                [SECRET] * len(inputs),
                lambda _: list(outputs),
            )[0]
        self._guard(lambda: self._runtime.run(self._programs[key]))

    def take_share(self, name: str) -> np.ndarray:
        """Return this party's own share of a variable: uint8 for bits (to XOR), else uint64."""
        return self._content(name)[..., 0]

    def take_pair(self, name: str) -> np.ndarray:
        """Return both shares of numbers that this party holds: (..., 2) uint64."""
        return self._content(name)

    def put_pair(self, name: str, both: np.ndarray) -> None:
        """Give the engine both shares of numbers back, picked or put in another order."""
        share = libspu.Share()
        share.meta = self._meta(both.shape[:-1], np.int64)
        share.share_chunks = [_chunk(np.ascontiguousarray(both).tobytes())]
        self._runtime.set_var(name, share)

    def rename(self, old: str, new: str) -> None:
        """Give a variable another name."""
        self._runtime.set_var(new, self._runtime.get_var(old))
        self._runtime.del_var(old)

    def drop(self, *names: str) -> None:
        """Forget variables."""
        for name in names:
            self._runtime.del_var(name)

    def close(self) -> None:
        """Say goodbye to the other parties."""
        self._link.stop_link()

    def _content(self, name: str) -> np.ndarray:
        kinds = {"aby3.BShr<PT_U8,1>": np.uint8, "aby3.AShr<FM64>": np.uint64}
        meta, raw = self._runtime.get_var_meta(name), []
        for one in self._runtime.get_var(name).share_chunks:
            chunk = libspu.ValueChunk()
            chunk.ParseFromString(one)
            raw.append(chunk.content)
        both = np.frombuffer(b"".join(raw), kinds[meta.storage_type])
        return both.reshape(*meta.shape.dims, 2)

    def _meta(self, shape: tuple[int, ...], kind: Any) -> bytes:
        if (shape, kind) not in self._metas:
            made = self._io.make_shares(np.zeros(shape, kind), SECRET)[self.party]
            self._metas[shape, kind] = made.meta
        return self._metas[shape, kind]

    def _guard(self, work: Callable[[], Any]) -> Any:
        start = time.monotonic()
        try:
            return work()
        except RuntimeError:
            # The engine's own message may hold parts of what it computed with.
            raise WorkerError(
                f"party {self.party} lost the others after {time.monotonic() - start:.0f} seconds, "
                f"or the engine failed. Start all three again: they go on where they were."
            ) from None


def prepare(bits: Any) -> Any:
    """Turn shared bits (..., slots, bits) into shared numbers and their sums, times three."""
    numbers = bits.astype(jnp.int64) * _FACTOR
    return numbers, numbers.sum(-1)


def excess(threshold: tuple[int, int], scale: int) -> Callable[..., Any]:
    """Return a function that is at least 0 exactly where Dice reaches the threshold p / q.

    With c common and s set bits in both, 2c/s >= p/q and s > 0 is scale (2qc - ps) + c >= 1, in
    whole numbers, for any scale above c.
    """
    p, q = threshold

    def over(a: Any, a_sum: Any, b: Any, b_sum: Any) -> Any:
        common = jnp.matmul(a, jnp.swapaxes(b, -1, -2))
        both = a_sum[..., :, None] + b_sum[..., None, :]
        return scale * (2 * q * common - _FACTOR * p * both) + common - _FACTOR * _FACTOR

    return over


def _chunk(content: bytes) -> bytes:
    chunk = libspu.ValueChunk()
    chunk.content = content
    chunk.total_bytes, chunk.chunk_offset = len(content), 0
    return bytes(chunk.SerializeToString())


def _quiet() -> Any:
    options = libspu.logging.LogOptions()
    options.log_level = libspu.logging.LogLevel.ERROR
    return options
