; Tags of global memory: which block of the present launch wrote each granule of 1 << `shift` bytes last, by a plain
; store. A tag is a stamp: one number for each block of each launch, and a new one whenever a block that has written
; publishes (a fence of the card's scope, an access that releases). Stamps below the launch's first are of launches
; before it. `published` tells when a stamp was published, on the clock that counts stamps; a block has `seen` all that
; was published when it last synchronised. What another block wrote is ordered before a block's access if it was
; published, and the block has seen that. Where no page of 64 KiB has been written to, no tag is looked at.

declare void @llvm.masked.scatter.v32i32.v32p0(<32 x i32>, <32 x ptr>, i32, <32 x i1>)
declare void @llvm.masked.store.v32i32.p0(<32 x i32>, ptr, i32, <32 x i1>)
declare i32 @llvm.vector.reduce.or.v32i32(<32 x i32>)

; Check consecutive lanes of `size` bytes from the host address `first` on; else as sgpu_watch_global.
define i32 @sgpu_watch_run(ptr %w, i32 %site, i64 %first, i32 %mask, i32 %size, i32 %shift, i32 %action) {
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
  %fit = and i1 %simple, %inside
  br i1 %fit, label %prepare, label %slow
prepare:
  %shift64 = zext i32 %shift to i64
  %granule = lshr i64 %off, %shift64
  %tags = call i64 @wide_field(ptr %w, i64 $w_tags)
  %p_tags = inttoptr i64 %tags to ptr
  %p_first = getelementptr i32, ptr %p_tags, i64 %granule
  %base = call i32 @field(ptr %w, i64 $w_stamp_base)
  %bases = call <32 x i32> @splat32(i32 %base)
  %mine = call i32 @field(ptr %w, i64 $w_stamp)
  %mines = call <32 x i32> @splat32(i32 %mine)
  br label %look
look:
  %k = phi i32 [ 0, %prepare ], [ %k1, %look ]
  %bad = phi i32 [ 0, %prepare ], [ %bad1, %look ]
  %k64 = zext i32 %k to i64
  %skip = shl i64 %k64, 5
  %p = getelementptr i32, ptr %p_first, i64 %skip
  %t = load <32 x i32>, ptr %p, align 4
  %live = icmp uge <32 x i32> %t, %bases
  %other = icmp ne <32 x i32> %t, %mines
  %foreign = and <32 x i1> %live, %other
  %bits = bitcast <32 x i1> %foreign to i32
  %bad1 = or i32 %bad, %bits
  %k1 = add i32 %k, 1
  %more = icmp ult i32 %k1, %per
  br i1 %more, label %look, label %judge
judge:
  %asked = and i32 %bad1, %mask
  %clean = icmp eq i32 %asked, 0
  br i1 %clean, label %out, label %slow
slow:
  %firsts = call <32 x i64> @splat64(i64 %first)
  %step = zext i32 %size to i64
  %steps = call <32 x i64> @splat64(i64 %step)
  %distances = mul <32 x i64> %steps, $lanes64
  %a = add <32 x i64> %firsts, %distances
  %r = call i32 @sgpu_watch_global(ptr %w, i32 %site, <32 x i64> %a, i32 %mask, i32 %size, i32 %shift, i32 %action)
  ret i32 %r
out:
  ret i32 0
}

; One warp-wide access by host addresses that are in bounds; other spaces' addresses are left alone. `action`: 1 reads,
; 2 writes, 4 synchronises, 8 is a fault though nobody compares. A race does not return, except for a plain write: the
; lanes that may race come back, since a write that changes nothing is none.
define i32 @sgpu_watch_global(ptr %w, i32 %site, <32 x i64> %a, i32 %given, i32 %size, i32 %shift, i32 %action) {
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
  br i1 %some, label %pages, label %none
pages:
  %lanes = bitcast i32 %mask to <32 x i1>
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
  %touched = call i1 @allocation_written(ptr %w, i64 %site64, i64 %low, i64 %length)
  br i1 %touched, label %check, label %none
apart:
  %pages64 = call i64 @wide_field(ptr %w, i64 $w_pages)
  %p_pages = inttoptr i64 %pages64 to ptr
  %page = lshr <32 x i64> %offs, splat (i64 $page_bits)
  %p_page = getelementptr i8, ptr %p_pages, <32 x i64> %page
  %f = call <32 x i32> @llvm.masked.gather.v32i32.v32p0(<32 x ptr> %p_page, i32 1, <32 x i1> %lanes, <32 x i32> zeroinitializer)
  %any = call i32 @llvm.vector.reduce.or.v32i32(<32 x i32> %f)
  %hit = icmp ne i32 %any, 0
  br i1 %hit, label %check, label %none
check:
  %tags = call i64 @wide_field(ptr %w, i64 $w_tags)
  %p_tags = inttoptr i64 %tags to ptr
  %shift64 = zext i32 %shift to i64
  %shifts = call <32 x i64> @splat64(i64 %shift64)
  %granules = lshr <32 x i64> %offs, %shifts
  %per = lshr i32 %size, %shift
  %base = call i32 @field(ptr %w, i64 $w_stamp_base)
  %bases = call <32 x i32> @splat32(i32 %base)
  %mine = call i32 @field(ptr %w, i64 $w_stamp)
  %mines = call <32 x i32> @splat32(i32 %mine)
  %kind = and i32 %action, 6
  %settles = icmp eq i32 %kind, 6
  br label %loop
loop:
  %k = phi i32 [ 0, %check ], [ %k1, %next ]
  %suspects = phi i32 [ 0, %check ], [ %suspects1, %next ]
  %k64 = zext i32 %k to i64
  %ks = call <32 x i64> @splat64(i64 %k64)
  %g = add <32 x i64> %granules, %ks
  %p = getelementptr i32, ptr %p_tags, <32 x i64> %g
  %t = call <32 x i32> @llvm.masked.gather.v32i32.v32p0(<32 x ptr> %p, i32 4, <32 x i1> %lanes, <32 x i32> zeroinitializer)
  %live = icmp uge <32 x i32> %t, %bases
  %other = icmp ne <32 x i32> %t, %mines
  %foreign = and <32 x i1> %live, %other
  %bits = bitcast <32 x i1> %foreign to i32
  %clean = icmp eq i32 %bits, 0
  br i1 %clean, label %stamp, label %judge
judge:
  %guilty = call i32 @unordered(ptr %w, i32 %site, <32 x i64> %a, <32 x i32> %t, i32 %bits, i32 %action)
  br label %stamp
stamp:
  %guilt = phi i32 [ 0, %loop ], [ %guilty, %judge ]
  %suspects1 = or i32 %suspects, %guilt
  %dirty = xor i1 %clean, true
  %clears = and i1 %settles, %dirty
  br i1 %clears, label %clear, label %next
clear:
  ; A synchronising write is nobody's.
  call void @llvm.masked.scatter.v32i32.v32p0(<32 x i32> zeroinitializer, <32 x ptr> %p, i32 4, <32 x i1> %foreign)
  br label %next
next:
  %k1 = add i32 %k, 1
  %more = icmp ult i32 %k1, %per
  br i1 %more, label %loop, label %done
done:
  ret i32 %suspects1
none:
  ret i32 0
}

; Of the lanes whose granule another stamp of this launch holds, find those that nothing orders behind that write.
define internal i32 @unordered(ptr %w, i32 %site, <32 x i64> %a, <32 x i32> %t, i32 %lanes, i32 %action) noinline {
entry:
  %base = call i32 @field(ptr %w, i64 $w_stamp_base)
  %bases = call <32 x i32> @splat32(i32 %base)
  %place = sub <32 x i32> %t, %bases
  %place64 = zext <32 x i32> %place to <32 x i64>
  %published = call i64 @wide_field(ptr %w, i64 $w_published)
  %p_published = inttoptr i64 %published to ptr
  %p = getelementptr i32, ptr %p_published, <32 x i64> %place64
  %which = bitcast i32 %lanes to <32 x i1>
  %time = call <32 x i32> @llvm.masked.gather.v32i32.v32p0(<32 x ptr> %p, i32 4, <32 x i1> %which, <32 x i32> zeroinitializer)
  %seen = call i32 @field(ptr %w, i64 $w_seen)
  %seens = call <32 x i32> @splat32(i32 %seen)
  %hidden = icmp eq <32 x i32> %time, zeroinitializer
  %future = icmp ugt <32 x i32> %time, %seens
  %loose = or <32 x i1> %hidden, %future
  %bits = bitcast <32 x i1> %loose to i32
  %those = and i32 %bits, %lanes
  %sync = and i32 %action, 4
  %syncs = icmp ne i32 %sync, 0
  br i1 %syncs, label %first, label %all
first:
  ; What a block stores after a fence may hand something over: a flag, a lock that it gives back.
  %later = call i32 @field(ptr %w, i64 $w_stamp_later)
  %laters = call <32 x i32> @splat32(i32 %later)
  %early = icmp ult <32 x i32> %t, %laters
  %earlybits = bitcast <32 x i1> %early to i32
  %changing = and i32 %action, 3
  %modifies = icmp eq i32 %changing, 3
  %strict = select i1 %modifies, i32 %earlybits, i32 0
  %sthose = and i32 %those, %strict
  br label %all
all:
  %guilty = phi i32 [ %those, %entry ], [ %sthose, %first ]
  %some = icmp ne i32 %guilty, 0
  br i1 %some, label %note, label %out
note:
  %places = alloca [32 x i64], align 64
  %stamps = alloca [32 x i32], align 64
  %times = alloca [32 x i32], align 64
  store <32 x i64> %a, ptr %places, align 64
  store <32 x i32> %t, ptr %stamps, align 64
  store <32 x i32> %time, ptr %times, align 64
  %lane = call i32 @llvm.cttz.i32(i32 %guilty, i1 true)
  %lane64 = zext i32 %lane to i64
  %p_stamp = getelementptr i32, ptr %stamps, i64 %lane64
  %stamp = load i32, ptr %p_stamp
  %owner = call i32 @owner_of(ptr %w, i32 %stamp)
  %p_other = getelementptr i8, ptr %w, i64 $w_fault_other
  store i32 %owner, ptr %p_other
  %p_time = getelementptr i32, ptr %times, i64 %lane64
  %when = load i32, ptr %p_time
  %told = icmp ne i32 %when, 0
  %told32 = zext i1 %told to i32
  %p_told = getelementptr i8, ptr %w, i64 $w_fault_other_published
  store i32 %told32, ptr %p_told
  %soft = icmp eq i32 %action, 2
  br i1 %soft, label %out, label %fault
fault:
  %p_a = getelementptr i64, ptr %places, i64 %lane64
  %address = load i64, ptr %p_a
  call void @sgpu_fault(ptr %w, i32 $fault_race_global, i32 %site, i32 %lane, i64 %address)
  unreachable
out:
  ret i32 %guilty
}
