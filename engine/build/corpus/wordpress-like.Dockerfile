FROM debian:12-slim
RUN set -eux; \
	apt-get update; \
	apt-get install -y --no-install-recommends \
		ca-certificates \
		curl \
	; \
	rm -rf /var/lib/apt/lists/*
ENV VERSION=6.4 \
    SHA1=0123
VOLUME /var/www/html
COPY --chown=33:33 wp-config.php /usr/src/
COPY entrypoint.sh /usr/local/bin/
ENTRYPOINT ["entrypoint.sh"]
CMD ["apache2-foreground"]
