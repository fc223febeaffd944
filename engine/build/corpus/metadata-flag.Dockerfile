FROM scratch
USER --create app
