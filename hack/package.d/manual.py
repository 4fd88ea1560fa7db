"""Manual pages and shell completions below DIRECTORY (argument 1), made of the one definition of the commands.

criserver(8) has every command with its flags; completions for bash and zsh have the same.
"""

import sys
from pathlib import Path

import shtab
from argparse_manpage.manpage import Manpage

from criserver import __version__
from criserver.cli.main import parser

share = Path(sys.argv[1])
top = parser()
top.prog = "criserver"
top._manpage = [
    {
        "heading": "FILES",
        "content": "/etc/criserver/config.yaml and /etc/criserver/config.d/*.yaml: the configuration.\n\n"
        "/run/criserver/criserver.sock: where the CRI is served.",
    },
    {"heading": "SEE ALSO", "content": "crictl(1), kubelet(1), runc(8), crun(1), skopeo(1)"},
]
about = {"project_name": "criserver", "version": __version__, "manual_section": 8, "manual_title": "Containers"}
page = Manpage(top, about)
(share / "man/man8/criserver.8").write_text(str(page))
(share / "bash-completion/completions/criserver").write_text(shtab.complete(top, shell="bash"))
(share / "zsh/vendor-completions/_criserver").write_text(shtab.complete(top, shell="zsh"))
