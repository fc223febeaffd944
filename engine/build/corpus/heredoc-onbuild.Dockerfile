FROM scratch
ONBUILD RUN <<EOF
echo later
EOF
ONBUILD COPY <<A <<B /
a
A
b
B
