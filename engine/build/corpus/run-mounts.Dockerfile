FROM scratch
ARG ID=pip
RUN --mount=type=cache,target=/root/.cache --mount=type=cache,id=$ID,dst=/c,sharing=LOCKED,mode=0700,uid=1000,gid=1000,ro a
RUN --mount=target=. --mount=type=bind,src=/a,dst=/b,rw --mount=type=bind,from=alpine,source=/etc,target=/etc2 b
RUN --mount=type=tmpfs,target=/t,size=64m --mount=type=tmpfs,dst=/u c
RUN --mount=type=secret,id=aws --mount=type=secret,id=npm,env=NPM_TOKEN --mount=type=secret,id=k,target=/k,mode=0400,uid=1,gid=2,required --mount=type=secret,target=/run/x/key,required=false d
RUN --mount='type=bind,"source=a,b",target=/x' e
