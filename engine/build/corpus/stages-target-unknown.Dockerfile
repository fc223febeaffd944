FROM a AS build
FROM b AS test
