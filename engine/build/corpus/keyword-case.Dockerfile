from scratch
run a
Env A=1
COPY a b
