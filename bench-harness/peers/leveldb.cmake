# LevelDB's build takes clang's thread safety warnings for available with other compilers too (its test hands the flags on as one) and
# then fails on the flag. Known beforehand, it is not tested for.
set(HAVE_CLANG_THREAD_SAFETY OFF CACHE BOOL "")
