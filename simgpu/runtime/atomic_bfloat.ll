; Add bfloats, $K to a place, one active lane after the other. A sum is rounded to nearest, even on a tie.
define internal <32 x $T> @$name(<32 x i64> %a, i32 %mask, <32 x $T> %b, <32 x $T> %unused) noinline {
entry:
  %places = alloca [32 x i64], align 64
  %values = alloca [32 x $T], align 64
  store <32 x i64> %a, ptr %places, align 64
  store <32 x $T> %b, ptr %values, align 64
  br label %loop
loop:
  %rest = phi i32 [ %mask, %entry ], [ %rest1, %swapped ]
  %some = icmp ne i32 %rest, 0
  br i1 %some, label %body, label %done
body:
  %lane = call i32 @llvm.cttz.i32(i32 %rest, i1 true)
  %minus = sub i32 %rest, 1
  %rest1 = and i32 %rest, %minus
  %lane64 = zext i32 %lane to i64
  %p_a = getelementptr i64, ptr %places, i64 %lane64
  %place = load ptr, ptr %p_a
  %p_v = getelementptr $T, ptr %values, i64 %lane64
  %v = load <$K x i16>, ptr %p_v
  %v32 = zext <$K x i16> %v to <$K x i32>
  %vs = shl <$K x i32> %v32, splat (i32 16)
  %vf = bitcast <$K x i32> %vs to <$K x float>
  %first = load atomic $T, ptr %place monotonic, align $B
  br label %try
try:
  %old = phi $T [ %first, %body ], [ %seen, %try ]
  %o = bitcast $T %old to <$K x i16>
  %o32 = zext <$K x i16> %o to <$K x i32>
  %os = shl <$K x i32> %o32, splat (i32 16)
  %of = bitcast <$K x i32> %os to <$K x float>
  %sum = fadd <$K x float> %of, %vf
  %bits = bitcast <$K x float> %sum to <$K x i32>
  %top = lshr <$K x i32> %bits, splat (i32 16)
  %odd = and <$K x i32> %top, splat (i32 1)
  %bias = add <$K x i32> %odd, splat (i32 32767)
  %near = add <$K x i32> %bits, %bias
  %kept = lshr <$K x i32> %near, splat (i32 16)
  %nan = fcmp uno <$K x float> %sum, zeroinitializer
  %chosen = select <$K x i1> %nan, <$K x i32> splat (i32 32767), <$K x i32> %kept
  %short = trunc <$K x i32> %chosen to <$K x i16>
  %new = bitcast <$K x i16> %short to $T
  %pair = cmpxchg ptr %place, $T %old, $T %new seq_cst seq_cst, align $B
  %seen = extractvalue { $T, i1 } %pair, 0
  %won = extractvalue { $T, i1 } %pair, 1
  br i1 %won, label %swapped, label %try
swapped:
  store $T %old, ptr %p_v
  br label %loop
done:
  %r = load <32 x $T>, ptr %values, align 64
  ret <32 x $T> %r
}
