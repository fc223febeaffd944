FROM scratch
SHELL /bin/bash
