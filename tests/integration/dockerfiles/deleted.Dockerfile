FROM busybox
RUN mkdir /d && touch /d/a /d/b && ln /d/a /d/hard && ln -s a /d/soft
RUN rm /d/a && [ -e /d/hard ]
RUN [ ! -e /d/a ] && rm -r /d && mkdir /d && touch /d/new
RUN [ "$(ls /d)" = new ]
