# A thin front to Meson.  Folders: build/ (the program), b/ (what the tests build).
.PHONY: all demo test asan tsan bench install test-of-tests format packages clean

all: packages build/build.ninja
	@ninja -C build

packages:
	@tools/install-packages build

build/build.ninja: | packages
	@CC=$${CC:-gcc} meson setup build -Dtests=disabled >build.log 2>&1 || { cat build.log; exit 1; }
	@rm -f build.log

# Explains a sentence with one bundled model and fills a mask with the other.
demo: packages build/build.ninja
	@ninja -C build --quiet
	@build/src/cli/tokray demo

# Everything that must hold before a change lands; about ten minutes on two cores.
test:
	@tools/install-packages test
	@tools/build-for-tests gcc clang asan double || { echo '0 passed, 1 failed'; exit 1; }
	@tools/run-tests b/gcc:fast,full b/clang:fast b/asan:fast,full b/double:numeric

asan:
	@tools/install-packages test
	@tools/build-for-tests asan || { echo '0 passed, 1 failed'; exit 1; }
	@tools/run-tests b/asan:fast,full

tsan:
	@tools/install-packages test
	@tools/build-for-tests tsan || { echo '0 passed, 1 failed'; exit 1; }
	@tools/run-tests b/tsan:base,tensor

# Breaks the code on purpose, one fault at a time, and fails unless a named test turns red each time.
test-of-tests:
	@tools/install-packages test
	@tools/test-of-tests

bench:
	@tools/install-packages build
	@tools/build-for-tests bench
	@bench/run b/bench

# PREFIX and DESTDIR as usual.  Configured on its own, so that nothing installed refers to this folder.
PREFIX ?= /usr/local
install: packages
	@[ -f b/install/build.ninja ] || meson setup b/install -Dtests=disabled -Dsource_models=false --prefix=$(PREFIX)
	@meson configure b/install --prefix=$(PREFIX)
	@meson install -C b/install

format:
	@find src include tests bench examples \( -name '*.c' -o -name '*.h' \) -print0 | xargs -0 clang-format -i

clean:
	@rm -rf build b
