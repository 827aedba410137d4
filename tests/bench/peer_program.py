"""llama.cpp's own HTTP server, run by the Python of the peer's environment: never imported by ours.

The peer's environment holds nothing but the peer, so this file may use the standard library only.
"""

import json
import signal
import sys

import xllamacpp

# A thread of its HTTP library serves one connection at a time; a full class must reach its queue.
HTTP_THREADS = 64


def main() -> None:
    settings = json.loads(sys.argv[1])
    parameters = xllamacpp.CommonParams()
    parameters.model.path = settings["model"]
    parameters.port = settings["port"]
    parameters.n_ctx = settings["cells"]
    parameters.n_parallel = settings["slots"]
    parameters.kv_unified = True
    parameters.cache_prompt = True
    parameters.cpuparams.n_threads = settings["threads"]
    parameters.cpuparams_batch.n_threads = settings["threads"]
    parameters.n_threads_http = HTTP_THREADS
    parameters.fit_params = False  # it would measure the machine's memory and choose another size
    parameters.ui = False
    server = xllamacpp.Server(parameters)
    print(server.listening_address, xllamacpp.get_system_info(), flush=True)
    signal.sigwait({signal.SIGTERM, signal.SIGINT})


if __name__ == "__main__":
    # Before the server starts its threads, which inherit the mask.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    main()
