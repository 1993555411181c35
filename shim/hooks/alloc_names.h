/* shim/hooks: the functions that we interpose.  May include shim/life and below. */
/*
 * The names of alloc_other.c: C++ operators, and functions that only some allocators have.
 *
 * mi_* are mimalloc's and tc_* are tcmalloc's.  Counted are those that none of the
 * standard functions comes to by a jump, in any release known: such a block would be
 * counted twice.  All that frees or moves a block is here, and what has no hook (blocks of
 * a heap of one's own, aligned ones) is not counted when it is allocated either.
 */
#ifndef SHIM_HOOKS_ALLOC_NAMES_H
#define SHIM_HOOKS_ALLOC_NAMES_H

/*
 * X(name, parameters, arguments, bytes, when there is no next definition)
 *
 * The last is for objects that asked whether the program has the name (by a weak
 * reference, which we satisfy).
 */
#define STANDARD_ALLOCATES(X)                                                                      \
	X(_Znwm, (size_t n), (n), n, malloc(n))                                                    \
	X(_Znam, (size_t n), (n), n, malloc(n))                                                    \
	X(_ZnwmRKSt9nothrow_t, (size_t n, const void *nothrow), (n, nothrow), n, malloc(n))        \
	X(_ZnamRKSt9nothrow_t, (size_t n, const void *nothrow), (n, nothrow), n, malloc(n))        \
	X(_ZnwmSt11align_val_t, (size_t n, size_t align), (n, align), n, memalign(align, n))       \
	X(_ZnamSt11align_val_t, (size_t n, size_t align), (n, align), n, memalign(align, n))       \
	X(_ZnwmSt11align_val_tRKSt9nothrow_t, (size_t n, size_t align, const void *nothrow),       \
	  (n, align, nothrow), n, memalign(align, n))                                              \
	X(_ZnamSt11align_val_tRKSt9nothrow_t, (size_t n, size_t align, const void *nothrow),       \
	  (n, align, nothrow), n, memalign(align, n))                                              \
	X(mallocx, (size_t n, int flags), (n, flags), n, without_mallocx(n, flags))

#define OWN_ALLOCATES(X)                                                                           \
	X(mi_malloc, (size_t n), (n), n, malloc(n))                                                \
	X(mi_malloc_small, (size_t n), (n), n, malloc(n))                                          \
	X(mi_new, (size_t n), (n), n, malloc(n))                                                   \
	X(tc_malloc, (size_t n), (n), n, malloc(n))                                                \
	X(tc_malloc_skip_new_handler, (size_t n), (n), n, malloc(n))                               \
	X(tc_new, (size_t n), (n), n, malloc(n))                                                   \
	X(tc_newarray, (size_t n), (n), n, malloc(n))                                              \
	X(tc_valloc, (size_t n), (n), n, valloc(n))                                                \
	X(tc_pvalloc, (size_t n), (n), n, pvalloc(n))                                              \
	X(mi_zalloc, (size_t n), (n), n, calloc(1, n))                                             \
	X(mi_zalloc_small, (size_t n), (n), n, calloc(1, n))                                       \
	X(mi_calloc, (size_t count, size_t n), (count, n), count *n, calloc(count, n))             \
	X(tc_calloc, (size_t count, size_t n), (count, n), count *n, calloc(count, n))             \
	X(mi_mallocn, (size_t count, size_t n), (count, n), count *n, calloc(count, n))            \
	X(mi_new_n, (size_t count, size_t n), (count, n), count *n, calloc(count, n))              \
	X(mi_new_aligned, (size_t n, size_t align), (n, align), n, memalign(align, n))             \
	X(tc_new_aligned, (size_t n, size_t align), (n, align), n, memalign(align, n))             \
	X(tc_newarray_aligned, (size_t n, size_t align), (n, align), n, memalign(align, n))        \
	X(tc_new_nothrow, (size_t n, const void *nothrow), (n, nothrow), n, malloc(n))             \
	X(tc_newarray_nothrow, (size_t n, const void *nothrow), (n, nothrow), n, malloc(n))        \
	X(tc_new_aligned_nothrow, (size_t n, size_t align, const void *nothrow),                   \
	  (n, align, nothrow), n, memalign(align, n))                                              \
	X(tc_newarray_aligned_nothrow, (size_t n, size_t align, const void *nothrow),              \
	  (n, align, nothrow), n, memalign(align, n))

/* X(name, parameters, arguments, bytes, when there is no next definition); p is the old block */
#define STANDARD_MOVES(X)                                                                          \
	X(rallocx, (void *p, size_t n, int flags), (p, n, flags), n, realloc(p, n))                \
	X(reallocarray, (void *p, size_t count, size_t n), (p, count, n), count *n,                \
	  without_reallocarray(p, count, n))

#define OWN_MOVES(X)                                                                               \
	X(mi_realloc, (void *p, size_t n), (p, n), n, realloc(p, n))                               \
	X(tc_realloc, (void *p, size_t n), (p, n), n, realloc(p, n))

/*
 * X(name, parameters, arguments, whether the old block stays when it fails, when there is no next
 * definition); p is the old block.  The new one is not counted.
 */
#define LOSES(X)                                                                                   \
	X(mi_rezalloc, (void *p, size_t n), (p, n), n != 0, realloc(p, n))                         \
	X(mi_reallocf, (void *p, size_t n), (p, n), false, realloc(p, n))                          \
	X(mi_reallocn, (void *p, size_t count, size_t n), (p, count, n), count != 0 && n != 0,     \
	  without_reallocarray(p, count, n))                                                       \
	X(mi_recalloc, (void *p, size_t count, size_t n), (p, count, n), count != 0 && n != 0,     \
	  without_reallocarray(p, count, n))                                                       \
	X(mi_reallocarray, (void *p, size_t count, size_t n), (p, count, n), count != 0 && n != 0, \
	  without_reallocarray(p, count, n))                                                       \
	X(mi_new_reallocn, (void *p, size_t count, size_t n), (p, count, n), count != 0 && n != 0, \
	  without_reallocarray(p, count, n))                                                       \
	X(mi_new_realloc, (void *p, size_t n), (p, n), n != 0, realloc(p, n))                      \
	X(mi_realloc_aligned, (void *p, size_t n, size_t align), (p, n, align), n != 0, NULL)      \
	X(mi_realloc_aligned_at, (void *p, size_t n, size_t align, size_t at), (p, n, align, at),  \
	  n != 0, NULL)                                                                            \
	X(mi_rezalloc_aligned, (void *p, size_t n, size_t align), (p, n, align), n != 0, NULL)     \
	X(mi_rezalloc_aligned_at, (void *p, size_t n, size_t align, size_t at), (p, n, align, at), \
	  n != 0, NULL)                                                                            \
	X(mi_recalloc_aligned, (void *p, size_t count, size_t n, size_t align),                    \
	  (p, count, n, align), count != 0 && n != 0, NULL)                                        \
	X(mi_recalloc_aligned_at, (void *p, size_t count, size_t n, size_t align, size_t at),      \
	  (p, count, n, align, at), count != 0 && n != 0, NULL)                                    \
	X(mi_heap_rezalloc, (void *heap, void *p, size_t n), (heap, p, n), n != 0, realloc(p, n))  \
	X(mi_heap_realloc, (void *heap, void *p, size_t n), (heap, p, n), n != 0, realloc(p, n))   \
	X(mi_heap_reallocf, (void *heap, void *p, size_t n), (heap, p, n), false, realloc(p, n))   \
	X(mi_heap_reallocn, (void *heap, void *p, size_t count, size_t n), (heap, p, count, n),    \
	  count != 0 && n != 0, without_reallocarray(p, count, n))                                 \
	X(mi_heap_recalloc, (void *heap, void *p, size_t count, size_t n), (heap, p, count, n),    \
	  count != 0 && n != 0, without_reallocarray(p, count, n))                                 \
	X(mi_heap_realloc_aligned, (void *heap, void *p, size_t n, size_t align),                  \
	  (heap, p, n, align), n != 0, NULL)                                                       \
	X(mi_heap_realloc_aligned_at, (void *heap, void *p, size_t n, size_t align, size_t at),    \
	  (heap, p, n, align, at), n != 0, NULL)                                                   \
	X(mi_heap_rezalloc_aligned, (void *heap, void *p, size_t n, size_t align),                 \
	  (heap, p, n, align), n != 0, NULL)                                                       \
	X(mi_heap_rezalloc_aligned_at, (void *heap, void *p, size_t n, size_t align, size_t at),   \
	  (heap, p, n, align, at), n != 0, NULL)                                                   \
	X(mi_heap_recalloc_aligned, (void *heap, void *p, size_t count, size_t n, size_t align),   \
	  (heap, p, count, n, align), count != 0 && n != 0, NULL)                                  \
	X(mi_heap_recalloc_aligned_at,                                                             \
	  (void *heap, void *p, size_t count, size_t n, size_t align, size_t at),                  \
	  (heap, p, count, n, align, at), count != 0 && n != 0, NULL)                              \
	X(mi_aligned_recalloc, (void *p, size_t count, size_t n, size_t align),                    \
	  (p, count, n, align), count != 0 && n != 0, NULL)                                        \
	X(mi_aligned_offset_recalloc, (void *p, size_t count, size_t n, size_t align, size_t at),  \
	  (p, count, n, align, at), count != 0 && n != 0, NULL)

/* X(name, parameters, arguments); p is the block */
#define STANDARD_FREES(X)                                                                          \
	X(_ZdlPv, (void *p), (p))                                                                  \
	X(_ZdaPv, (void *p), (p))                                                                  \
	X(_ZdlPvm, (void *p, size_t n), (p, n))                                                    \
	X(_ZdaPvm, (void *p, size_t n), (p, n))                                                    \
	X(_ZdlPvRKSt9nothrow_t, (void *p, const void *nothrow), (p, nothrow))                      \
	X(_ZdaPvRKSt9nothrow_t, (void *p, const void *nothrow), (p, nothrow))                      \
	X(_ZdlPvSt11align_val_t, (void *p, size_t align), (p, align))                              \
	X(_ZdaPvSt11align_val_t, (void *p, size_t align), (p, align))                              \
	X(_ZdlPvmSt11align_val_t, (void *p, size_t n, size_t align), (p, n, align))                \
	X(_ZdaPvmSt11align_val_t, (void *p, size_t n, size_t align), (p, n, align))                \
	X(_ZdlPvSt11align_val_tRKSt9nothrow_t, (void *p, size_t align, const void *nothrow),       \
	  (p, align, nothrow))                                                                     \
	X(_ZdaPvSt11align_val_tRKSt9nothrow_t, (void *p, size_t align, const void *nothrow),       \
	  (p, align, nothrow))                                                                     \
	X(dallocx, (void *p, int flags), (p, flags))                                               \
	X(sdallocx, (void *p, size_t n, int flags), (p, n, flags))                                 \
	X(cfree, (void *p), (p))                                                                   \
	X(free_sized, (void *p, size_t n), (p, n))                                                 \
	X(free_aligned_sized, (void *p, size_t align, size_t n), (p, align, n))

#define OWN_FREES(X)                                                                               \
	X(mi_free, (void *p), (p))                                                                 \
	X(mi_cfree, (void *p), (p))                                                                \
	X(tc_free, (void *p), (p))                                                                 \
	X(tc_cfree, (void *p), (p))                                                                \
	X(tc_delete, (void *p), (p))                                                               \
	X(tc_deletearray, (void *p), (p))                                                          \
	X(mi_free_size, (void *p, size_t n), (p, n))                                               \
	X(tc_free_sized, (void *p, size_t n), (p, n))                                              \
	X(tc_delete_sized, (void *p, size_t n), (p, n))                                            \
	X(tc_deletearray_sized, (void *p, size_t n), (p, n))                                       \
	X(mi_free_aligned, (void *p, size_t align), (p, align))                                    \
	X(tc_delete_aligned, (void *p, size_t align), (p, align))                                  \
	X(tc_deletearray_aligned, (void *p, size_t align), (p, align))                             \
	X(mi_free_size_aligned, (void *p, size_t n, size_t align), (p, n, align))                  \
	X(tc_delete_sized_aligned, (void *p, size_t n, size_t align), (p, n, align))               \
	X(tc_deletearray_sized_aligned, (void *p, size_t n, size_t align), (p, n, align))          \
	X(tc_delete_nothrow, (void *p, const void *nothrow), (p, nothrow))                         \
	X(tc_deletearray_nothrow, (void *p, const void *nothrow), (p, nothrow))                    \
	X(tc_delete_aligned_nothrow, (void *p, size_t align, const void *nothrow),                 \
	  (p, align, nothrow))                                                                     \
	X(tc_deletearray_aligned_nothrow, (void *p, size_t align, const void *nothrow),            \
	  (p, align, nothrow))

/* X(name, parameters, arguments, when there is no next definition): the block stays where it is */
#define RESIZES(X) X(xallocx, (void *p, size_t n, size_t extra, int flags), (p, n, extra, flags), 0)

#define ALLOCATES(X) STANDARD_ALLOCATES(X) OWN_ALLOCATES(X)
#define MOVES(X)     STANDARD_MOVES(X) OWN_MOVES(X)
#define FREES(X)     STANDARD_FREES(X) OWN_FREES(X)

#endif
