; Address checks and translation. Spaces: 0 global, 1 shared offset, 2 local offset, 3 generic.

; Check one lane's address and return the host address; a bad one does not return.
define i64 @sgpu_resolve_lane(ptr %w, i32 %site, i64 %given, i32 %lane, i32 %size32, i32 %space) {
entry:
  %size = zext i32 %size32 to i64
  %low_bits = sub i64 %size, 1
  %odd = and i64 %given, %low_bits
  %aligned = icmp eq i64 %odd, 0
  br i1 %aligned, label %spaces, label %misaligned
misaligned:
  call void @sgpu_fault(ptr %w, i32 2, i32 %site, i32 %lane, i64 %given)
  ret i64 0
spaces:
  switch i32 %space, label %generic [ i32 0, label %global
                                      i32 1, label %shared
                                      i32 2, label %local ]
generic:
  %top = lshr i64 %given, 56
  %inside = and i64 %given, 72057594037927935
  switch i64 %top, label %global [ i64 $shared_window, label %shared
                                   i64 $local_window, label %local ]
shared:
  %so = phi i64 [ %given, %spaces ], [ %inside, %generic ]
  %p_ss = getelementptr i8, ptr %w, i64 $w_shared_size
  %ss = load i64, ptr %p_ss
  %send = add i64 %so, %size
  %s_small = icmp ult i64 %so, 4294967296
  %s_in = icmp ule i64 %send, %ss
  %s_ok = and i1 %s_small, %s_in
  %p_sb = getelementptr i8, ptr %w, i64 $w_shared
  %sb = load i64, ptr %p_sb
  %sa = add i64 %sb, %so
  br i1 %s_ok, label %shared_ok, label %out_of_bounds
shared_ok:
  ret i64 %sa
local:
  %lo = phi i64 [ %given, %spaces ], [ %inside, %generic ]
  %p_ls = getelementptr i8, ptr %w, i64 $w_local_size
  %ls = load i64, ptr %p_ls
  %lend = add i64 %lo, %size
  %l_small = icmp ult i64 %lo, 4294967296
  %l_in = icmp ule i64 %lend, %ls
  %l_ok = and i1 %l_small, %l_in
  %p_current = getelementptr i8, ptr %w, i64 $w_current
  %warp = load i32, ptr %p_current
  %first = mul i32 %warp, 32
  %thread = add i32 %first, %lane
  %thread64 = zext i32 %thread to i64
  %skip = mul i64 %thread64, %ls
  %p_lb = getelementptr i8, ptr %w, i64 $w_local
  %lb = load i64, ptr %p_lb
  %lt = add i64 %lb, %skip
  %la = add i64 %lt, %lo
  br i1 %l_ok, label %local_ok, label %out_of_bounds
local_ok:
  ret i64 %la
global:
  %p_table = getelementptr i8, ptr %w, i64 $w_table
  %table = load ptr, ptr %p_table
  %p_n = getelementptr i8, ptr %w, i64 $w_table_size
  %n = load i64, ptr %p_n
  br label %search
search:
  %l = phi i64 [ 0, %global ], [ %l1, %step ]
  %h = phi i64 [ %n, %global ], [ %h1, %step ]
  %open = icmp ult i64 %l, %h
  br i1 %open, label %step, label %found
step:
  %sum = add i64 %l, %h
  %mid = lshr i64 %sum, 1
  %p_start = getelementptr { i64, i64 }, ptr %table, i64 %mid
  %start = load i64, ptr %p_start
  %before = icmp ule i64 %start, %given
  %mid1 = add i64 %mid, 1
  %l1 = select i1 %before, i64 %mid1, i64 %l
  %h1 = select i1 %before, i64 %h, i64 %mid
  br label %search
found:
  %nothing = icmp eq i64 %l, 0
  br i1 %nothing, label %out_of_bounds, label %bounds
bounds:
  %i = sub i64 %l, 1
  %p_low = getelementptr { i64, i64 }, ptr %table, i64 %i
  %pair = load <2 x i64>, ptr %p_low, align 8
  %end = extractelement <2 x i64> %pair, i64 1
  %gend = add i64 %given, %size
  %g_ok = icmp ule i64 %gend, %end
  br i1 %g_ok, label %global_ok, label %out_of_bounds
global_ok:
  %p_cache = getelementptr i8, ptr %w, i64 $w_cache
  %cache = load ptr, ptr %p_cache
  %site64 = zext i32 %site to i64
  %p_entry = getelementptr { i64, i64 }, ptr %cache, i64 %site64
  store <2 x i64> %pair, ptr %p_entry, align 8
  ret i64 %given
out_of_bounds:
  call void @sgpu_fault(ptr %w, i32 1, i32 %site, i32 %lane, i64 %given)
  ret i64 0
}

; Check and translate the active lanes' addresses.
define <32 x i64> @sgpu_resolve(ptr %w, i32 %site, <32 x i64> %a, i32 %mask, i32 %size32, i32 %space) {
entry:
  %size = zext i32 %size32 to i64
  %low_bits = sub i64 %size, 1
  %lb1 = insertelement <32 x i64> poison, i64 %low_bits, i64 0
  %lbv = shufflevector <32 x i64> %lb1, <32 x i64> poison, <32 x i32> zeroinitializer
  %odd = and <32 x i64> %a, %lbv
  %even = icmp eq <32 x i64> %odd, zeroinitializer
  %idle = xor i32 %mask, -1
  switch i32 %space, label %global [ i32 1, label %shared
                                     i32 2, label %local ]
global:
  %p_cache = getelementptr i8, ptr %w, i64 $w_cache
  %cache = load ptr, ptr %p_cache
  %site64 = zext i32 %site to i64
  %p_entry = getelementptr { i64, i64 }, ptr %cache, i64 %site64
  %low = load i64, ptr %p_entry
  %p_high = getelementptr i8, ptr %p_entry, i64 8
  %high = load i64, ptr %p_high
  %last = sub i64 %high, %size
  br label %test
shared:
  %p_ss = getelementptr i8, ptr %w, i64 $w_shared_size
  %ss = load i64, ptr %p_ss
  %slast = sub i64 %ss, %size
  %snone = icmp slt i64 %slast, 0
  %slow_low = select i1 %snone, i64 -1, i64 0
  br label %test
local:
  %p_ls = getelementptr i8, ptr %w, i64 $w_local_size
  %ls = load i64, ptr %p_ls
  %llast = sub i64 %ls, %size
  %lnone = icmp slt i64 %llast, 0
  %llow = select i1 %lnone, i64 -1, i64 0
  br label %test
test:
  %from = phi i64 [ %low, %global ], [ %slow_low, %shared ], [ %llow, %local ]
  %to = phi i64 [ %last, %global ], [ %slast, %shared ], [ %llast, %local ]
  %f1 = insertelement <32 x i64> poison, i64 %from, i64 0
  %fv = shufflevector <32 x i64> %f1, <32 x i64> poison, <32 x i32> zeroinitializer
  %t1 = insertelement <32 x i64> poison, i64 %to, i64 0
  %tv = shufflevector <32 x i64> %t1, <32 x i64> poison, <32 x i32> zeroinitializer
  %ge = icmp uge <32 x i64> %a, %fv
  %le = icmp ule <32 x i64> %a, %tv
  %in = and <32 x i1> %ge, %le
  %ok = and <32 x i1> %in, %even
  %okbits = bitcast <32 x i1> %ok to i32
  %fine = or i32 %okbits, %idle
  %all = icmp eq i32 %fine, -1
  br i1 %all, label %fast, label %slow
fast:
  switch i32 %space, label %fast_global [ i32 1, label %fast_shared
                                          i32 2, label %fast_local ]
fast_global:
  ret <32 x i64> %a
fast_shared:
  %p_sb = getelementptr i8, ptr %w, i64 $w_shared
  %sb = load i64, ptr %p_sb
  %s1 = insertelement <32 x i64> poison, i64 %sb, i64 0
  %sv = shufflevector <32 x i64> %s1, <32 x i64> poison, <32 x i32> zeroinitializer
  %sr = add <32 x i64> %a, %sv
  ret <32 x i64> %sr
fast_local:
  %p_ls2 = getelementptr i8, ptr %w, i64 $w_local_size
  %ls2 = load i64, ptr %p_ls2
  %p_current = getelementptr i8, ptr %w, i64 $w_current
  %warp = load i32, ptr %p_current
  %warp64 = zext i32 %warp to i64
  %first = mul i64 %warp64, 32
  %skip = mul i64 %first, %ls2
  %p_lb = getelementptr i8, ptr %w, i64 $w_local
  %lbase = load i64, ptr %p_lb
  %lfirst = add i64 %lbase, %skip
  %b1 = insertelement <32 x i64> poison, i64 %lfirst, i64 0
  %bv = shufflevector <32 x i64> %b1, <32 x i64> poison, <32 x i32> zeroinitializer
  %z1 = insertelement <32 x i64> poison, i64 %ls2, i64 0
  %zv = shufflevector <32 x i64> %z1, <32 x i64> poison, <32 x i32> zeroinitializer
  %lane_off = mul <32 x i64> %zv, $lanes64
  %l1 = add <32 x i64> %bv, %lane_off
  %lr = add <32 x i64> %l1, %a
  ret <32 x i64> %lr
slow:
  %given = alloca [32 x i64], align 64
  %result = alloca [32 x i64], align 64
  store <32 x i64> %a, ptr %given, align 64
  store <32 x i64> %a, ptr %result, align 64
  br label %loop
loop:
  %rest = phi i32 [ %mask, %slow ], [ %rest1, %body ]
  %some = icmp ne i32 %rest, 0
  br i1 %some, label %body, label %done
body:
  %lane = call i32 @llvm.cttz.i32(i32 %rest, i1 true)
  %minus = sub i32 %rest, 1
  %rest1 = and i32 %rest, %minus
  %lane64 = zext i32 %lane to i64
  %p_a = getelementptr i64, ptr %given, i64 %lane64
  %one = load i64, ptr %p_a
  %host = call i64 @sgpu_resolve_lane(ptr %w, i32 %site, i64 %one, i32 %lane, i32 %size32, i32 %space)
  %p_r = getelementptr i64, ptr %result, i64 %lane64
  store i64 %host, ptr %p_r
  br label %loop
done:
  %hosts = load <32 x i64>, ptr %result, align 64
  ret <32 x i64> %hosts
}

; Give each lane the value of another lane, by numbers that are known only now.
define <32 x i32> @sgpu_permute(<32 x i32> %v, <32 x i32> %from) {
  %array = alloca [32 x i32], align 64
  store <32 x i32> %v, ptr %array, align 64
  %places = getelementptr i32, ptr %array, <32 x i32> %from
  %r = call <32 x i32> @llvm.masked.gather.v32i32.v32p0(<32 x ptr> %places, i32 4, <32 x i1> splat (i1 true), <32 x i32> poison)
  ret <32 x i32> %r
}
declare <32 x i32> @llvm.masked.gather.v32i32.v32p0(<32 x ptr>, i32, <32 x i1>, <32 x i32>)

; For each active lane, the active lanes that hold the same value.
define <32 x i32> @sgpu_match(<32 x i64> %v, i32 %mask) {
entry:
  %array = alloca [32 x i64], align 64
  store <32 x i64> %v, ptr %array, align 64
  br label %loop
loop:
  %rest = phi i32 [ %mask, %entry ], [ %rest1, %body ]
  %result = phi <32 x i32> [ zeroinitializer, %entry ], [ %result1, %body ]
  %some = icmp ne i32 %rest, 0
  br i1 %some, label %body, label %done
body:
  %lane = call i32 @llvm.cttz.i32(i32 %rest, i1 true)
  %lane64 = zext i32 %lane to i64
  %p = getelementptr i64, ptr %array, i64 %lane64
  %one = load i64, ptr %p
  %one1 = insertelement <32 x i64> poison, i64 %one, i64 0
  %onev = shufflevector <32 x i64> %one1, <32 x i64> poison, <32 x i32> zeroinitializer
  %eq = icmp eq <32 x i64> %v, %onev
  %eqbits = bitcast <32 x i1> %eq to i32
  %same = and i32 %eqbits, %mask
  %keep = xor i32 %same, -1
  %rest1 = and i32 %rest, %keep
  %s1 = insertelement <32 x i32> poison, i32 %same, i64 0
  %sv = shufflevector <32 x i32> %s1, <32 x i32> poison, <32 x i32> zeroinitializer
  %result1 = select <32 x i1> %eq, <32 x i32> %sv, <32 x i32> %result
  br label %loop
done:
  ret <32 x i32> %result
}
