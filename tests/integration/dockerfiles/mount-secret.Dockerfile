FROM busybox
RUN --mount=type=secret,id=key [ "$(cat /run/secrets/key)" = "of the test" ] && [ "$(stat -c %a /run/secrets/key)" = 400 ]
RUN --mount=type=secret,id=key,target=/k,mode=0444,uid=7 [ "$(stat -c %a:%u /k)" = 444:7 ]
RUN --mount=type=secret,id=key,env=KEY [ "$KEY" = "of the test" ]
RUN --mount=type=secret,id=absent [ ! -e /run/secrets/absent ]
RUN [ ! -s /run/secrets/key ] && [ ! -s /k ] && [ -z "$KEY" ]
