#!/bin/sh
# Build the image; arguments go to the builder, for instance `--tag registry.example/gal`.
set -eu
cd "$(dirname "$0")/.."
version=$(sed -n 's/^__version__ = "\(.*\)"$/\1/p' sklearn_gal/_version.py)
for builder in docker podman; do
    if command -v "$builder" >/dev/null; then
        exec "$builder" build --file deploy/Dockerfile --tag "sklearn-gal:$version" "$@" .
    fi
done
echo "deploy/build.sh: neither docker nor podman is installed" >&2
exit 1
