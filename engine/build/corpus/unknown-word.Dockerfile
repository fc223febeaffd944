FROM scratch
if true; then
