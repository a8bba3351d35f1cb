"""lossscape doctor"""

from lossscape.cli.common import say
from lossscape.text import counted

EXAMPLES = """\b
Examples:
    lossscape doctor
    OMP_NUM_THREADS=8 lossscape doctor
"""


def command() -> None:
    """Say versions, devices, threads, precision support, where data is looked for and what is there."""
    import torch

    from lossscape import devices
    from lossscape.data import where_data_is

    cpu = torch.device("cpu")
    facts = devices.facts(cpu)
    say("versions")
    for name, version in facts["versions"].items():
        say(f"  {name:<12} {version}")
    say(f"  {'platform':<12} {facts['platform']}")
    say("devices")
    say(f"  {'cpu':<12} {devices.name_of(cpu)}, {counted(facts['threads'], 'thread')} (OMP_NUM_THREADS sets them)")
    say(f"  {'':<12} fp32 yes, bf16 {'yes' if devices.fast_bf16('cpu') else 'emulated: slower than fp32'}")
    for number in range(torch.cuda.device_count()):
        device = torch.device("cuda", number)
        memory = torch.cuda.get_device_properties(device).total_memory / 2**30
        say(f"  {device!s:<12} {devices.name_of(device)}, {memory:.0f} GiB")
        say(f"  {'':<12} fp32 yes, bf16 {'yes' if devices.fast_bf16('cuda') else 'emulated'}")
    if not torch.cuda.is_available():
        built = f"torch is built for CUDA {torch.version.cuda}" if torch.version.cuda else "torch is a CPU build"
        say(f"  {'cuda':<12} none ({built})")
    say("data (dataset.root, else $LOSSSCAPE_DATA, else ~/.cache/lossscape)")
    say(f"  {'digits':<14} is there: embedded")
    for found in where_data_is():
        say(f"  {found.name:<14} {'is there' if found.there else 'is not there'}: {found.folder}")
        if not found.there:
            say(f"  {'':<14} missing: {', '.join(found.missing)}")
