"""What honest programs do, and have to be able to do behind the wall around an agent.

The tests and `aios bench wall` read the same table.
"""

from __future__ import annotations

NEIGHBOUR = "WORD = 'helped'\n"
"""The file `neighbour.py` beside the program."""
HONEST = {
    "numbers": "import numpy; assert numpy.linalg.inv(numpy.eye(200)).sum() == 200",
    "HTTP's modules": "import httpx, http.client, urllib.request; httpx.Client()",
    "temporary files": """
import os, tempfile
with tempfile.NamedTemporaryFile() as file, tempfile.TemporaryDirectory() as place:
    file.write(b'x')
    assert os.path.dirname(place) == os.environ['HOME'] == os.getcwd()""",
    "a database": """
import sqlite3
database = sqlite3.connect('x.db')
database.execute('pragma journal_mode=wal')
database.execute('create table t(a)')
database.execute('insert into t values (1)')
database.commit()
database.execute('vacuum')
database.close()""",
    "threads": """
from concurrent.futures import ThreadPoolExecutor
with ThreadPoolExecutor(20) as pool:
    assert sum(pool.map(int, range(100))) == 4950""",
    "certificates": "import certifi, ssl; assert ssl.create_default_context(cafile=certifi.where()).get_ca_certs()",
    "time zones": "import zoneinfo; zoneinfo.ZoneInfo('Europe/Berlin')",
    "event loops": """
import anyio, threading
for backend in ('asyncio', 'trio'):
    thread = threading.Thread(target=lambda: anyio.run(anyio.sleep, 0, backend=backend))
    thread.start()
    thread.join()""",
    "modules that start programs": "import multiprocessing, subprocess",
    "models of data": "import pydantic; type('M', (pydantic.BaseModel,), {'__annotations__': {'a': int}})(a=1)",
    "copies": """
import os, shutil
open('a', 'w').write('x')
shutil.copy('a', 'b'); shutil.copy2('a', 'c'); os.mkdir('d'); shutil.copytree('d', 'e')
shutil.make_archive('z', 'zip', 'd'); os.rename('a', 'd/a'); shutil.move('b', 'd/b'); shutil.rmtree('d')""",
    "marks": """
import os, pathlib, shutil
pathlib.Path('t').touch()
assert os.path.exists('t')
pathlib.Path('t').touch(); os.utime('t', (1, 1)); os.chmod('t', 0o600); os.chmod(os.open('t', os.O_RDONLY), 0o600)
os.utime('t', ns=(1, 1), dir_fd=os.open('.', os.O_RDONLY)); shutil.copystat('t', 't', follow_symlinks=False)
for act in (os.utime, lambda path: os.chmod(path, 0o600)):
    try:
        act('not')
    except FileNotFoundError:
        pass
    else:
        raise AssertionError(act)""",
    "archives": """
import tarfile
open('q', 'w').write('x')
with tarfile.open('t.tar', 'w') as archive:
    archive.add('q')
tarfile.open('t.tar').extractall('out')
assert open('out/q').read() == 'x'""",
    "home": "from pathlib import Path; (Path.home() / '.cache').mkdir(); (Path.home() / '.cache' / 'x').touch()",
    "the machine": "import os, platform, psutil; os.cpu_count(); platform.platform(); psutil.virtual_memory()",
    "functions for C": "import ctypes; assert ctypes.CFUNCTYPE(ctypes.c_int)(lambda: 3)() == 3",
    "randomness": "import secrets, uuid, random; uuid.uuid4(); secrets.token_hex()",
    "a neighbour": "import neighbour; assert neighbour.WORD == 'helped'",
    "itself": "import os, signal; os.kill(os.getpid(), signal.SIGWINCH)",
}
"""The body of a program's main, by what it does; each runs in an empty scratch directory."""
