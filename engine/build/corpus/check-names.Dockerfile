FROM scratch AS Builder
FROM scratch as low
from scratch AS other
FROM scratch AS context
FROM scratch AS low
