"""Run the real engine as its own process: python tests/models/run_engine.py HOME [name=value …]."""

import logging
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from models.errors import ModelsError
from models.server import serve
from models.settings import EngineSettings

logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
values = {name: int(value) for name, value in (word.split("=") for word in sys.argv[2:])}
try:
    serve(EngineSettings(home=Path(sys.argv[1]), **values), lambda address: print(address, flush=True))
except ModelsError as error:
    print(error, file=sys.stderr)
    sys.exit(1)
