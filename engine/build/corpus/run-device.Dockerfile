FROM scratch
RUN --device=nvidia.com/gpu=all a
