# A static binary on nothing else. Mount the folder of a node, as "sitegate cluster
# init" writes it, on /etc/sitegate; the API must listen on 0.0.0.0 in there.
FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o /out/usr/bin/sitegate ./cmd/sitegate \
 && mkdir -p /out/var/lib/sitegate /out/etc/sitegate /out/etc/ssl/certs \
 && chmod 700 /out/var/lib/sitegate \
 && cp /etc/ssl/certs/ca-certificates.crt /out/etc/ssl/certs/

FROM scratch
COPY --from=build /out/usr /usr
COPY --from=build /out/etc /etc
COPY --from=build --chown=65532:65532 /out/var /var
USER 65532:65532
ENV SITEGATE_CONFIG=/etc/sitegate/sitegate.yaml SITEGATE_DATA_DIR=/var/lib/sitegate
VOLUME /var/lib/sitegate
# the API, the peer port, the connect door
EXPOSE 8443 7443 3128
HEALTHCHECK --interval=15s --timeout=12s CMD ["/usr/bin/sitegate", "status"]
ENTRYPOINT ["/usr/bin/sitegate"]
CMD ["serve", "--config", "/etc/sitegate/sitegate.yaml"]
