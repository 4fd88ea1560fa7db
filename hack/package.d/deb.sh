# shellcheck shell=bash
# The Debian package out of $work/bundle. Sourced by hack/package, which explains the variables.
: "${work:?}" "${out:?}" "${version:?}" "${python:?}" "${SOURCE_DATE_EPOCH:?}"

root=$work/deb debian=$work/source/config/debian lib=$work/deb/usr/lib/criserver
architecture=$(dpkg --print-architecture)

# --- files
mkdir -p "$root"/{DEBIAN,etc/criserver/config.d,lib/systemd/system,usr/bin,usr/share/doc/criserver/examples}
mkdir -p "$root/usr/share/bash-completion/completions" "$root/usr/share/zsh/vendor-completions" "$root/usr/share/man/man8"
mkdir -p "$(dirname "$lib")" && mv "$work/bundle" "$lib"
ln -s ../lib/criserver/bin/criserver "$root/usr/bin/criserver"
mv "$lib/share/criserver.service" "$root/lib/systemd/system/criserver.service"
# every key as a comment: what is not said keeps following the defaults of later versions
sed 's/^./#&/' "$lib/share/config.yaml" >"$root/etc/criserver/config.yaml"
mv "$lib/share"/* "$root/usr/share/doc/criserver/examples/" && rmdir "$lib/share"
cp "$debian/copyright" "$root/usr/share/doc/criserver/copyright"
gzip -9nc "$work/source/CHANGELOG.md" >"$root/usr/share/doc/criserver/changelog.gz"

# --- manual pages and completions, of the one definition of the commands
(cd "$work/source" && "$python" "$source_root/hack/package.d/manual.py" "$root/usr/share")
gzip -9n "$root"/usr/share/man/man8/*.8

# --- byte code: a start that need not compile; made by the Python that will read it, never checked against times
(cd "$lib" && "$python" -m compileall -q -j 1 --invalidation-mode unchecked-hash -s "$lib" -p /usr/lib/criserver lib)

# --- control
next=$("$python" -c 'import sys; print("3.%d" % (sys.version_info[1] + 1))')
this=$("$python" -c 'import sys; print("3.%d" % sys.version_info[1])')
size=$(du -sk --apparent-size "$root" | cut -f1)
sed -e "s/@VERSION@/$version/; s/@ARCHITECTURE@/$architecture/; s/@SIZE@/$size/; s/@PYTHON@/$this/; s/@NEXT@/$next/" \
    "$debian/control" >"$root/DEBIAN/control"
echo /etc/criserver/config.yaml >"$root/DEBIAN/conffiles"
for script in postinst prerm postrm; do install -m 0755 "$debian/$script" "$root/DEBIAN/$script"; done
(cd "$root" && find . -type f ! -path './DEBIAN/*' -printf '%P\0' | sort -z | xargs -0 md5sum >DEBIAN/md5sums)

chmod -R u=rwX,go=rX "$root" && chmod 0755 "$root/DEBIAN" "$root"/DEBIAN/p*
same_times "$root"
dpkg-deb --root-owner-group -Zxz --build "$root" "$out/criserver_${version}_${architecture}.deb" >/dev/null
echo "$out/criserver_${version}_${architecture}.deb"
