FROM scratch
RUN a && \

    b && \   
    c
ENV X=1 \
    Y=2 \
    Z="three \
 four"
RUN end \\
RUN last \
