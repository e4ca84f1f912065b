; A plain store is about to be done: its places are this block's from here on. Not once it is done: a lock that it gives
; back would be taken before the tag is there, and its next holder called a racer. So another block that stores the same
; values may find the tag, and still the old values: it waits for them before it accuses.
declare i32 @usleep(i32)

; Whether a block that finds another's tag, and another value than its own, is to look again; it has waited then.
define i32 @sgpu_doubt(ptr %w, i32 %attempt) cold {
entry:
  %threads = call i32 @field(ptr %w, i64 $w_host_threads)
  %several = icmp ugt i32 %threads, 1
  %patient = icmp ult i32 %attempt, 100
  %both = and i1 %several, %patient
  br i1 %both, label %wait, label %out
wait:
  %ignored = call i32 @usleep(i32 1000)
  ret i32 1
out:
  ret i32 0
}

; Consecutive lanes of `size` bytes from the host address `first` on; else as sgpu_tag_global.
define void @sgpu_tag_run(ptr %w, i32 %site, i64 %first, i32 %mask, i32 %size, i32 %shift, i32 %shared) {
entry:
  %from = call i64 @wide_field(ptr %w, i64 $w_arena)
  %span = call i64 @wide_field(ptr %w, i64 $w_arena_span)
  %off = sub i64 %first, %from
  %inside = icmp ult i64 %off, %span
  %per = lshr i32 %size, %shift
  %single = icmp eq i32 %per, 1
  %some = icmp ne i32 %per, 0
  %full = icmp eq i32 %mask, -1
  %wide = and i1 %full, %some
  %simple = or i1 %single, %wide
  %alone = icmp eq i32 %shared, 0
  %usual = and i1 %simple, %alone
  %fit = and i1 %usual, %inside
  br i1 %fit, label %mark, label %slow
mark:
  %shift64 = zext i32 %shift to i64
  %granule = lshr i64 %off, %shift64
  %tags = call i64 @wide_field(ptr %w, i64 $w_tags)
  %p_tags = inttoptr i64 %tags to ptr
  %p_first = getelementptr i32, ptr %p_tags, i64 %granule
  %mine = call i32 @field(ptr %w, i64 $w_stamp)
  %mines = call <32 x i32> @splat32(i32 %mine)
  %p_used = getelementptr i8, ptr %w, i64 $w_stamp_used
  store i32 1, ptr %p_used
  %size64 = zext i32 %size to i64
  %bytes = shl i64 %size64, 5
  %end = add i64 %off, %bytes
  %last = sub i64 %end, 1
  call void @mark_page(ptr %w, i64 %off)
  call void @mark_page(ptr %w, i64 %last)
  br label %stamp
stamp:
  %s = phi i32 [ 0, %mark ], [ %s1, %stamped ]
  %s64 = zext i32 %s to i64
  %sskip = shl i64 %s64, 5
  %sp = getelementptr i32, ptr %p_first, i64 %sskip
  br i1 %full, label %whole, label %part
whole:
  store <32 x i32> %mines, ptr %sp, align 4
  br label %stamped
part:
  %lanes = bitcast i32 %mask to <32 x i1>
  call void @llvm.masked.store.v32i32.p0(<32 x i32> %mines, ptr %sp, i32 4, <32 x i1> %lanes)
  br label %stamped
stamped:
  %s1 = add i32 %s, 1
  %smore = icmp ult i32 %s1, %per
  br i1 %smore, label %stamp, label %out
slow:
  %firsts = call <32 x i64> @splat64(i64 %first)
  %step = zext i32 %size to i64
  %steps = call <32 x i64> @splat64(i64 %step)
  %distances = mul <32 x i64> %steps, $lanes64
  %a = add <32 x i64> %firsts, %distances
  call void @sgpu_tag_global(ptr %w, i32 %site, <32 x i64> %a, i32 %mask, i32 %size, i32 %shift, i32 %shared)
  ret void
out:
  ret void
}

; Any host addresses that are in bounds; other spaces' are left alone. What the `shared` lanes stored was there before, by
; another block: it is nobody's.
define void @sgpu_tag_global(ptr %w, i32 %site, <32 x i64> %a, i32 %given, i32 %size, i32 %shift, i32 %shared) {
entry:
  %from = call i64 @wide_field(ptr %w, i64 $w_arena)
  %span = call i64 @wide_field(ptr %w, i64 $w_arena_span)
  %froms = call <32 x i64> @splat64(i64 %from)
  %spans = call <32 x i64> @splat64(i64 %span)
  %offs = sub <32 x i64> %a, %froms
  %in = icmp ult <32 x i64> %offs, %spans
  %inbits = bitcast <32 x i1> %in to i32
  %mask = and i32 %inbits, %given
  %some = icmp ne i32 %mask, 0
  br i1 %some, label %pages, label %out
pages:
  %lanes = bitcast i32 %mask to <32 x i1>
  %p_used = getelementptr i8, ptr %w, i64 $w_stamp_used
  store i32 1, ptr %p_used
  %cache = call i64 @wide_field(ptr %w, i64 $w_cache)
  %p_cache = inttoptr i64 %cache to ptr
  %site64 = zext i32 %site to i64
  %p_bounds = getelementptr { i64, i64 }, ptr %p_cache, i64 %site64
  %low = load i64, ptr %p_bounds
  %p_high = getelementptr i8, ptr %p_bounds, i64 8
  %high = load i64, ptr %p_high
  %length = sub i64 %high, %low
  %lows = call <32 x i64> @splat64(i64 %low)
  %lengths = call <32 x i64> @splat64(i64 %length)
  %within = sub <32 x i64> %a, %lows
  %one = icmp ult <32 x i64> %within, %lengths
  %onebits = bitcast <32 x i1> %one to i32
  %same = and i32 %onebits, %mask
  %together = icmp eq i32 %same, %mask
  br i1 %together, label %allocation, label %apart
allocation:
  call void @mark_allocation(ptr %w, i64 %site64, i64 %low, i64 %length)
  br label %put
apart:
  %pages64 = call i64 @wide_field(ptr %w, i64 $w_pages)
  %p_pages = inttoptr i64 %pages64 to ptr
  %page = lshr <32 x i64> %offs, splat (i64 $page_bits)
  %p_page = getelementptr i8, ptr %p_pages, <32 x i64> %page
  %f = call <32 x i32> @llvm.masked.gather.v32i32.v32p0(<32 x ptr> %p_page, i32 1, <32 x i1> %lanes, <32 x i32> zeroinitializer)
  %bytes = and <32 x i32> %f, splat (i32 255)
  %unmarked = icmp eq <32 x i32> %bytes, zeroinitializer
  %fresh = and <32 x i1> %unmarked, %lanes
  %freshbits = bitcast <32 x i1> %fresh to i32
  call void @mark_pages(ptr %w, <32 x i64> %offs, i32 %freshbits)
  br label %put
put:
  %tags = call i64 @wide_field(ptr %w, i64 $w_tags)
  %p_tags = inttoptr i64 %tags to ptr
  %shift64 = zext i32 %shift to i64
  %shifts = call <32 x i64> @splat64(i64 %shift64)
  %granules = lshr <32 x i64> %offs, %shifts
  %per = lshr i32 %size, %shift
  %mine = call i32 @field(ptr %w, i64 $w_stamp)
  %mines = call <32 x i32> @splat32(i32 %mine)
  %shares = bitcast i32 %shared to <32 x i1>
  %new = select <32 x i1> %shares, <32 x i32> zeroinitializer, <32 x i32> %mines
  br label %loop
loop:
  %k = phi i32 [ 0, %put ], [ %k1, %loop ]
  %k64 = zext i32 %k to i64
  %ks = call <32 x i64> @splat64(i64 %k64)
  %g = add <32 x i64> %granules, %ks
  %p = getelementptr i32, ptr %p_tags, <32 x i64> %g
  call void @llvm.masked.scatter.v32i32.v32p0(<32 x i32> %new, <32 x ptr> %p, i32 4, <32 x i1> %lanes)
  %k1 = add i32 %k, 1
  %more = icmp ult i32 %k1, %per
  br i1 %more, label %loop, label %out
out:
  ret void
}
