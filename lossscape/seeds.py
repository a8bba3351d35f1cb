"""Seeds derived from one seed and what they are for.

All randomness is a function of (seed, purpose, position): nothing has to be stored to continue a run to the
same bits, and two purposes or two indices never share a stream.
"""

import hashlib

import torch


def derive(seed: int, *purpose: str | int) -> int:
    """A 63-bit seed for a purpose, e.g. derive(0, "shuffle", epoch)."""
    digest = hashlib.blake2b(repr((seed, *purpose)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def generator(seed: int, *purpose: str | int, device: torch.device | str = "cpu") -> torch.Generator:
    """A torch generator seeded by derive(seed, *purpose)."""
    return torch.Generator(device).manual_seed(derive(seed, *purpose))


def seed_device(device: torch.device, seed: int) -> None:
    """Seed the device's own generator, which dropout draws from.

    torch.manual_seed would seed every device, at a cost of a millisecond a call where CUDA is not in use yet.
    """
    if device.type == "cuda":
        with torch.cuda.device(device):
            torch.cuda.manual_seed(seed)
    else:
        torch.default_generator.manual_seed(seed)
