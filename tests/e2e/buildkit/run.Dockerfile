FROM BASE
RUN mkdir /d /gone && echo a > /d/a && echo b > /d/b && echo x > /gone/x && echo f > /file
RUN chmod 4711 /d/a && chown 12:34 /d/b && chmod 1777 /d && chmod g+s /gone
RUN rm -r /gone && echo now > /gone && rm /file && mkdir /file && echo in > /file/in
RUN rm -r /d && mkdir /d && echo new > /d/new
RUN /bin/busybox ln /d/new /d/hard && /bin/busybox ln -s ../d/new /d/soft && /bin/busybox mkfifo /d/fifo
RUN /bin/busybox mv /d /moved && mkdir -p /deep/a/b/c && rm -r /deep/a/b
RUN rm /bin/printf && echo app:x:1000:1000::/home:/bin/sh > /etc/passwd
RUN touch -t 200001020304 /old && chmod 000 /old
RUN chown -h 3:4 /moved/soft && chmod 700 /tmp
RUN ["/bin/touch", "/exec form"]
RUN true
