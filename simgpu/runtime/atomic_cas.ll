define internal <32 x $T> @$name(<32 x i64> %a, i32 %mask, <32 x $T> %b, <32 x $T> %c) noinline {
entry:
  %places = alloca [32 x i64], align 64
  %expected = alloca [32 x $T], align 64
  %values = alloca [32 x $T], align 64
  store <32 x i64> %a, ptr %places, align 64
  store <32 x $T> %b, ptr %expected, align 64
  store <32 x $T> %c, ptr %values, align 64
  br label %loop
loop:
  %rest = phi i32 [ %mask, %entry ], [ %rest1, %body ]
  %some = icmp ne i32 %rest, 0
  br i1 %some, label %body, label %done
body:
  %lane = call i32 @llvm.cttz.i32(i32 %rest, i1 true)
  %minus = sub i32 %rest, 1
  %rest1 = and i32 %rest, %minus
  %lane64 = zext i32 %lane to i64
  %p_a = getelementptr i64, ptr %places, i64 %lane64
  %place = load ptr, ptr %p_a
  %p_e = getelementptr $T, ptr %expected, i64 %lane64
  %e = load $E, ptr %p_e, align $B
  %p_v = getelementptr $T, ptr %values, i64 %lane64
  %v = load $E, ptr %p_v, align $B
  %pair = cmpxchg ptr %place, $E %e, $E %v seq_cst seq_cst, align $B
  %old = extractvalue { $E, i1 } %pair, 0
  store $E %old, ptr %p_e, align $B
  br label %loop
done:
  %r = load <32 x $T>, ptr %expected, align 64
  ret <32 x $T> %r
}
