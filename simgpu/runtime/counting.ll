; Counters of memory accesses. `events` holds a row of 64-bit counters for each site, in the order of
; state.EVENT_FIELDS.
declare i64 @llvm.vector.reduce.umin.v32i64(<32 x i64>)

define internal ptr @event_row(ptr %w, i32 %site) alwaysinline {
  %p = getelementptr i8, ptr %w, i64 $w_events
  %events = load ptr, ptr %p
  %site64 = zext i32 %site to i64
  %skip = mul i64 %site64, $event_bytes
  %row = getelementptr i8, ptr %events, i64 %skip
  ret ptr %row
}

define internal void @event(ptr %row, i64 %which, i64 %amount) alwaysinline {
  %slot = getelementptr i64, ptr %row, i64 %which
  %old = load i64, ptr %slot
  %new = add i64 %old, %amount
  store i64 %new, ptr %slot
  ret void
}

; One warp-wide access to global or generic addresses. `kind`: 0 load, 1 store, 2 atomic.
define void @sgpu_count_global(ptr %w, i32 %site, <32 x i64> %a, i32 %asked, i32 %size, i32 %kind) {
entry:
  %tops = lshr <32 x i64> %a, splat (i64 56)
  %host = icmp eq <32 x i64> %tops, zeroinitializer
  %hostbits = bitcast <32 x i1> %host to i32
  %mask = and i32 %asked, %hostbits
  %inshared = icmp eq <32 x i64> %tops, splat (i64 $shared_window)
  %sharedbits = bitcast <32 x i1> %inshared to i32
  %smask = and i32 %asked, %sharedbits
  %anyshared = icmp ne i32 %smask, 0
  br i1 %anyshared, label %other, label %global
other:
  %offs = and <32 x i64> %a, splat (i64 72057594037927935)
  call void @sgpu_count_shared(ptr %w, i32 %site, <32 x i64> %offs, i32 %smask, i32 %size)
  br label %global
global:
  %none = icmp eq i32 %mask, 0
  br i1 %none, label %out, label %count
count:
  %sectors = lshr <32 x i64> %a, splat (i64 5)
  %store_s = alloca [32 x i64], align 64
  store <32 x i64> %sectors, ptr %store_s, align 64
  %p_arena = getelementptr i8, ptr %w, i64 $w_arena
  %arena = load i64, ptr %p_arena
  %first = lshr i64 %arena, 5
  %p_rm = getelementptr i8, ptr %w, i64 $w_read_map
  %rm = load ptr, ptr %p_rm
  %p_wm = getelementptr i8, ptr %w, i64 $w_write_map
  %wm = load ptr, ptr %p_wm
  %p_lm = getelementptr i8, ptr %w, i64 $w_line_maps
  %lms = load ptr, ptr %p_lm
  %at_site = zext i32 %site to i64
  %p_own = getelementptr ptr, ptr %lms, i64 %at_site
  %lm = load ptr, ptr %p_own
  %by_line = icmp ne ptr %lm, null
  %p_map = getelementptr i8, ptr %w, i64 $w_map_sectors
  %held = load i64, ptr %p_map
  %reads = icmp ne i32 %kind, 1
  %writes = icmp ne i32 %kind, 0
  br label %loop
loop:
  %rest = phi i32 [ %mask, %count ], [ %rest1, %next ]
  %n = phi i64 [ 0, %count ], [ %n1, %next ]
  %lane = call i32 @llvm.cttz.i32(i32 %rest, i1 false)
  %lane64 = zext i32 %lane to i64
  %p_s = getelementptr i64, ptr %store_s, i64 %lane64
  %s = load i64, ptr %p_s
  %s1 = insertelement <32 x i64> poison, i64 %s, i64 0
  %sv = shufflevector <32 x i64> %s1, <32 x i64> poison, <32 x i32> zeroinitializer
  %eq = icmp eq <32 x i64> %sectors, %sv
  %eqbits = bitcast <32 x i1> %eq to i32
  %keep = xor i32 %eqbits, -1
  %rest1 = and i32 %rest, %keep
  %n1 = add i64 %n, 1
  %at = sub i64 %s, %first
  ; An access is counted before it is checked: it may lie outside the card's memory, of which alone the maps tell.
  %inside = icmp ult i64 %at, %held
  br i1 %inside, label %mark, label %next
mark:
  br i1 %by_line, label %line, label %after_line
line:
  %p_l = getelementptr i8, ptr %lm, i64 %at
  store i8 1, ptr %p_l
  br label %after_line
after_line:
  br i1 %reads, label %read, label %after_read
read:
  %p_r = getelementptr i8, ptr %rm, i64 %at
  store i8 1, ptr %p_r
  br label %after_read
after_read:
  br i1 %writes, label %write, label %next
write:
  %p_w = getelementptr i8, ptr %wm, i64 %at
  store i8 1, ptr %p_w
  br label %next
next:
  %more = icmp ne i32 %rest1, 0
  br i1 %more, label %loop, label %sum
sum:
  %row = call ptr @event_row(ptr %w, i32 %site)
  %lanes32 = call i32 @llvm.ctpop.i32(i32 %mask)
  %lanes = zext i32 %lanes32 to i64
  %size64 = zext i32 %size to i64
  %bytes = mul i64 %lanes, %size64
  switch i32 %kind, label %atomic [ i32 0, label %loads
                                    i32 1, label %stores ]
loads:
  call void @event(ptr %row, i64 0, i64 1)
  call void @event(ptr %row, i64 1, i64 %n1)
  call void @event(ptr %row, i64 2, i64 %bytes)
  ret void
stores:
  call void @event(ptr %row, i64 3, i64 1)
  call void @event(ptr %row, i64 4, i64 %n1)
  call void @event(ptr %row, i64 5, i64 %bytes)
  ret void
atomic:
  ret void
out:
  ret void
}

; One warp-wide access to shared memory: extra passes over the 32 banks of four bytes. Accesses of 8 and 16
; bytes go by halves and quarters of the warp, as the hardware does.
define void @sgpu_count_shared(ptr %w, i32 %site, <32 x i64> %a, i32 %mask, i32 %given) {
entry:
  %row = call ptr @event_row(ptr %w, i32 %site)
  %wide = icmp ugt i32 %given, 4
  %size = select i1 %wide, i32 %given, i32 4
  %shift = call i32 @llvm.cttz.i32(i32 %size, i1 true)
  %shift64 = zext i32 %shift to i64
  %v1 = insertelement <32 x i64> poison, i64 %shift64, i64 0
  %sv = shufflevector <32 x i64> %v1, <32 x i64> poison, <32 x i32> zeroinitializer
  %units = lshr <32 x i64> %a, %sv
  %array = alloca [32 x i64], align 64
  store <32 x i64> %units, ptr %array, align 64
  %counts = alloca [32 x i32], align 64
  %groups = udiv i32 128, %size
  %gm = sub i32 %groups, 1
  %gm64 = zext i32 %gm to i64
  %reach1 = insertelement <32 x i64> poison, i64 %gm64, i64 0
  %reach = shufflevector <32 x i64> %reach1, <32 x i64> poison, <32 x i32> zeroinitializer
  %parts = udiv i32 %size, 4
  %width = udiv i32 32, %parts
  %width64 = zext i32 %width to i64
  %ones64 = shl i64 1, %width64
  %ones1 = sub i64 %ones64, 1
  %window0 = trunc i64 %ones1 to i32
  call void @event(ptr %row, i64 6, i64 1)
  br label %part
part:
  %p = phi i32 [ 0, %entry ], [ %p1, %part_end ]
  %start = mul i32 %p, %width
  %window = shl i32 %window0, %start
  %active = and i32 %mask, %window
  ; Places that lie within one pass' width of each other are all in different banks, or the same.
  %activev = bitcast i32 %active to <32 x i1>
  %asked = select <32 x i1> %activev, <32 x i64> %units, <32 x i64> splat (i64 -1)
  %least = call i64 @llvm.vector.reduce.umin.v32i64(<32 x i64> %asked)
  %least1 = insertelement <32 x i64> poison, i64 %least, i64 0
  %leastv = shufflevector <32 x i64> %least1, <32 x i64> poison, <32 x i32> zeroinitializer
  %apart = sub <32 x i64> %units, %leastv
  %near = icmp ule <32 x i64> %apart, %reach
  %nearbits = bitcast <32 x i1> %near to i32
  %notnear = xor i32 %nearbits, -1
  %far = and i32 %active, %notnear
  %spread = icmp ne i32 %far, 0
  br i1 %spread, label %tally, label %part_end
tally:
  store <32 x i32> zeroinitializer, ptr %counts, align 64
  br label %loop
loop:
  %rest = phi i32 [ %active, %tally ], [ %rest1, %body ]
  %max = phi i32 [ 1, %tally ], [ %max1, %body ]
  %some = icmp ne i32 %rest, 0
  br i1 %some, label %body, label %part_end
body:
  %lane = call i32 @llvm.cttz.i32(i32 %rest, i1 true)
  %lane64 = zext i32 %lane to i64
  %p_u = getelementptr i64, ptr %array, i64 %lane64
  %u = load i64, ptr %p_u
  %u1 = insertelement <32 x i64> poison, i64 %u, i64 0
  %uv = shufflevector <32 x i64> %u1, <32 x i64> poison, <32 x i32> zeroinitializer
  %eq = icmp eq <32 x i64> %units, %uv
  %eqbits = bitcast <32 x i1> %eq to i32
  %keep = xor i32 %eqbits, -1
  %rest1 = and i32 %rest, %keep
  %group = and i64 %u, %gm64
  %p_c = getelementptr i32, ptr %counts, i64 %group
  %c = load i32, ptr %p_c
  %c1 = add i32 %c, 1
  store i32 %c1, ptr %p_c
  %higher = icmp ugt i32 %c1, %max
  %max1 = select i1 %higher, i32 %c1, i32 %max
  br label %loop
part_end:
  %passes = phi i32 [ 1, %part ], [ %max, %loop ]
  %extra = sub i32 %passes, 1
  %extra64 = zext i32 %extra to i64
  call void @event(ptr %row, i64 7, i64 %extra64)
  %p1 = add i32 %p, 1
  %more = icmp ult i32 %p1, %parts
  br i1 %more, label %part, label %done
done:
  ret void
}

; One warp-wide atomic: the lanes that take part, and the most of them that meet at one address.
define void @sgpu_count_atomic(ptr %w, i32 %site, <32 x i64> %a, i32 %mask) {
entry:
  %row = call ptr @event_row(ptr %w, i32 %site)
  %lanes32 = call i32 @llvm.ctpop.i32(i32 %mask)
  %lanes = zext i32 %lanes32 to i64
  call void @event(ptr %row, i64 9, i64 1)
  call void @event(ptr %row, i64 10, i64 %lanes)
  %array = alloca [32 x i64], align 64
  store <32 x i64> %a, ptr %array, align 64
  br label %loop
loop:
  %rest = phi i32 [ %mask, %entry ], [ %rest1, %body ]
  %most = phi i32 [ 0, %entry ], [ %most1, %body ]
  %some = icmp ne i32 %rest, 0
  br i1 %some, label %body, label %done
body:
  %lane = call i32 @llvm.cttz.i32(i32 %rest, i1 true)
  %lane64 = zext i32 %lane to i64
  %p_one = getelementptr i64, ptr %array, i64 %lane64
  %one = load i64, ptr %p_one
  %one1 = insertelement <32 x i64> poison, i64 %one, i64 0
  %onev = shufflevector <32 x i64> %one1, <32 x i64> poison, <32 x i32> zeroinitializer
  %eq = icmp eq <32 x i64> %a, %onev
  %eqbits = bitcast <32 x i1> %eq to i32
  %here = and i32 %eqbits, %rest
  %rest1 = xor i32 %rest, %here
  %count = call i32 @llvm.ctpop.i32(i32 %here)
  %most1 = call i32 @llvm.umax.i32(i32 %most, i32 %count)
  br label %loop
done:
  %most64 = zext i32 %most to i64
  %slot = getelementptr i64, ptr %row, i64 12
  %old = load i64, ptr %slot
  %new = call i64 @llvm.umax.i64(i64 %old, i64 %most64)
  store i64 %new, ptr %slot
  ret void
}
declare i32 @llvm.umax.i32(i32, i32)
declare i64 @llvm.umax.i64(i64, i64)

define void @sgpu_count_local(ptr %w, i32 %site, i32 %mask, i32 %size) {
  %row = call ptr @event_row(ptr %w, i32 %site)
  %lanes = call i32 @llvm.ctpop.i32(i32 %mask)
  %bytes = mul i32 %lanes, %size
  %bytes64 = zext i32 %bytes to i64
  call void @event(ptr %row, i64 8, i64 %bytes64)
  ret void
}

define void @sgpu_count_branch(ptr %w, i32 %site, i32 %taken, i32 %other) {
  %row = call ptr @event_row(ptr %w, i32 %site)
  %t = icmp ne i32 %taken, 0
  %o = icmp ne i32 %other, 0
  %both = and i1 %t, %o
  %n = zext i1 %both to i64
  call void @event(ptr %row, i64 11, i64 %n)
  ret void
}
